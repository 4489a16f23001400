"""How much slower than alone a busy machine is, so that the harness waits long enough for what it looks for.

Knows nothing of what is measured, and stretches no promise: what took too long is a violation on any machine.
"""

from __future__ import annotations

import os
from typing import Final

#: However busy the machine is, nothing is waited for longer than so many times as long.
MOST: Final = 4.0


def slowness(load: float | None = None, num_cores: int | None = None) -> float:
    """Return by what to multiply a wait: the processes that want a core for each core there is, at least 1.

    Args:
        load: None: the average of the last minute, of the whole machine.
        num_cores: None: those of this machine.
    """
    load = os.getloadavg()[0] if load is None else load
    return min(MOST, max(1.0, load / (num_cores or os.cpu_count() or 1)))
