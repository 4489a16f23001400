"""What a worker process tells its supervisor by ending, beside the exit codes of the command."""

from __future__ import annotations

from typing import Final

#: Of a process whose engine broke. No shell, signal or tool of ours uses it.
ENGINE_FAULT_STATUS: Final = 86
