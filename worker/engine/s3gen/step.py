"""A convolution and what follows it: in one kernel where there is one for it, else one after the other.

Knows nothing of layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.engine.s3gen.convolution import Convolution, convolve
from worker.engine.s3gen.finish import Finish, finish

if TYPE_CHECKING:
    import torch


def step(
    convolution: Convolution, do: Finish, rows: torch.Tensor, is_inside: torch.Tensor, *addends: torch.Tensor
) -> tuple[Any, Any]:
    """Return what `finish` makes of the convolution of rows [P, C]: the sum and the activated sum."""
    if convolution.by_tap is not None and rows.is_cuda:
        from worker.engine.s3gen.stepkernel import launch_step

        return launch_step(convolution, do, rows, is_inside, *addends)
    return finish(do, convolve(convolution, rows), is_inside, *addends)
