"""How the kernels are launched: whether a kernel may begin while the one before it ends.

Knows nothing of what they compute. Programmatic dependent launch (CUDA programming guide; Hopper and later): a kernel
is placed on the GPU as soon as the programs of the one before have all begun, does what needs nothing of it, and then
waits until it is complete. Every kernel here waits before it reads what may change or writes anything, so that a chain
of them is in order; and it lets the next one begin only behind its own wait, so that no more than two are in flight.
"""

from __future__ import annotations

import functools
import os
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

#: Triton's interpreter, with which the kernels are tested where there is no GPU, knows no assembly and no launch.
IS_INTERPRETED: Final = os.environ.get("TRITON_INTERPRET", "0") != "0"
#: Measured on an H200: not yet.
IS_WANTED: Final = False


@functools.cache
def is_overlapped(device: torch.device) -> bool:
    """Return whether kernels on this device overlap with the one before."""
    return IS_WANTED and not IS_INTERPRETED and torch.cuda.get_device_capability(device) >= (9, 0)
