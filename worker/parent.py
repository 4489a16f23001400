"""Ties a process to its parent: when the parent is killed, the child is told, or ended.

Knows nothing of what either does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

#: Environment variable in which a supervisor tells its children its process id.
PARENT_VARIABLE: Final = "CHATTERQUEUE_SUPERVISOR_PID"

#: `prctl` option of Linux: the signal that this process gets when its parent dies.
_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent_pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel end this process when its parent is gone; Linux only, elsewhere nothing happens.

    Args:
        parent_pid: of the parent that is meant.
        number: the signal. Not SIGKILL by itself: a worker gives back what it holds, which is sooner than waiting for
            its leases to run out.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent_pid:  # it was killed before prctl took effect
        raise SystemExit(1)
