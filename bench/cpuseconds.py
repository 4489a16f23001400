"""CPU seconds of a process or of a thread, as Linux counts them: to a hundredth.

Knows nothing of what they went into.
"""

from __future__ import annotations

import os
from pathlib import Path


def cpu_seconds(of: Path) -> float:
    """Return what was spent in user and system mode.

    Args:
        of: `/proc/PID`, or `/proc/PID/task/TID` for a thread alone.
    """
    # Behind the name, which may hold anything, in brackets (proc(5): utime and stime are fields 14 and 15).
    fields = (of / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
