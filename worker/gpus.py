"""Which GPUs there are, found without torch: a supervisor must not open a CUDA context.

Knows nothing of what runs on them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: Seconds for `nvidia-smi`; a driver in trouble lets it hang.
_SMI_TIMEOUT_S: Final = 20.0


def visible_gpus(environment: Mapping[str, str], device_dir: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none on a CPU machine."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # `-1` and whatever comes after it hide devices.
        return [gpu for gpu in chosen.split("-1")[0].split(",") if gpu]
    num_gpus = _count_with_smi()
    if num_gpus is None:
        num_gpus = sum(1 for path in device_dir.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    return [str(number) for number in range(num_gpus)]


def _count_with_smi() -> int | None:
    """Return how many GPUs `nvidia-smi -L` lists; None if it is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
