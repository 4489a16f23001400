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
#: Above so many rows kernels do not overlap. Measured on an H200, an int8 step of 2 rows took 701 us instead of 801, of
#: 16 rows 1,193 instead of 1,313, of 64 rows the same, and of 256 rows 5,469 instead of 5,031: where kernels fill the
#: GPU, the programs of the next one are in the way.
MAX_ROWS: Final = 64


def is_overlapped(x: torch.Tensor) -> bool:
    """Return whether a kernel that works on the rows x overlaps with the one before."""
    return x.shape[0] <= MAX_ROWS and not IS_INTERPRETED and _can_overlap(x.device)


@functools.cache
def _can_overlap(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (9, 0)
