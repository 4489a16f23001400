"""How much slower than it would be alone a busy machine is, so that a limit in seconds accuses the farm and not others.

Knows nothing of what is measured. The table prints what was measured; this only stretches what is called a violation.
"""

from __future__ import annotations

import os
from typing import Final

#: However busy the machine is, nothing may take longer than so many times its limit.
MOST: Final = 4.0


def slowness(load: float | None = None, num_cores: int | None = None) -> float:
    """Return by what to multiply a limit: the processes that want a core for each core there is, at least 1.

    Args:
        load: None: the average of the last minute, of the whole machine.
        num_cores: None: those of this machine.
    """
    load = os.getloadavg()[0] if load is None else load
    return min(MOST, max(1.0, load / (num_cores or os.cpu_count() or 1)))
