"""The real supervisor over processes with an accident to come: `python -m faultysupervisor --gpus 0`."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from worker import supervisor


class FaultyPopen(subprocess.Popen):
    """Starts `faultygpuworker` where the supervisor starts `worker`."""

    def __init__(self, command: list[str], **options: Any) -> None:
        assert command[-1] == "worker"
        super().__init__([*command[:-1], "faultygpuworker"], **options)


if __name__ == "__main__":
    supervisor.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": FaultyPopen})
    sys.exit(supervisor.main())
