"""`python -m worker.health`: exit status 0 only if every worker process here is alive, ready and not stuck.

It reads the pulse files and nothing else: a Redis that is away for a minute is no reason to restart a worker with a
warm model, and a pong from Celery says nothing of an engine that hangs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from producer.contract.errors import SettingsError
from producer.contract.exitcode import ExitCode
from worker.pulse import Pulse
from worker.settings import WorkerSettings


def problems(folder: Path, stalled_after_s: float, now_s: float) -> list[str]:
    """Return what is wrong with the worker processes whose pulses are in a folder, in sentences."""
    found: list[str] = []
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        try:
            problem = Pulse.from_json(path.read_bytes()).problem(stalled_after_s, now_s)
        except (OSError, ValueError):
            problem = f"{path.name} cannot be read"
        if problem is not None:
            found.append(problem)
    return found if paths else [f"no worker process writes to {folder}"]


def main() -> int:
    """Look and print; return the exit status."""
    try:
        settings = WorkerSettings.load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    found = problems(settings.heartbeat_dir, settings.stalled_after_s, time.time())
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return ExitCode.INTERNAL if found else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
