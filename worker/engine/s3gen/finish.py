"""What stands between two convolutions: bias, sums, gaps set to zero and the activation, in one pass over memory.

Knows nothing of which layers there are. On CUDA it is one kernel (`finishkernel.py`), elsewhere plain torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

from worker.engine.s3gen.convolution import round_to_tf32


@dataclass(frozen=True, slots=True)
class Snake:
    """x + sin(alpha * x)**2 / alpha: Liu, Hartwig, Ueda, arXiv:2006.08195, equation 3.

    Attributes:
        alpha: [C] float32.
        inverse: [C] float32, 1 / (alpha + 1e-9), as chatterbox-tts guards it.
    """

    alpha: torch.Tensor
    inverse: torch.Tensor


@dataclass(frozen=True, slots=True)
class Leaky:
    """x where it is positive, else slope * x."""

    slope: float


@dataclass(frozen=True, slots=True)
class Finish:
    """What is done to the result of a convolution, in this order.

    Attributes:
        bias: [C] float32, added.
        scale: factor of the sum.
        keeps_sum: whether the sum itself is wanted.
        activation: what is applied to the sum, or None if the activated sum is not wanted.
        is_tf32: whether the activated sum is rounded to TF32, for the convolution that reads it (`convolution.Form`).
    """

    bias: torch.Tensor
    scale: float = 1.0
    keeps_sum: bool = True
    activation: Snake | Leaky | None = None
    is_tf32: bool = False


def finish(do: Finish, rows: torch.Tensor, is_inside: torch.Tensor, *addends: torch.Tensor) -> tuple[Any, Any]:
    """Return the sum and the activated sum, each [P, C] in the precision of the rows, zero in gaps.

    Args:
        do: bias, scale and activation.
        rows: [P, C], the result of a convolution.
        is_inside: [P] bool, False in gaps. Gaps are set to zero, not multiplied: what is there may be no number.
        addends: at most two more [P, C] that are added.
    """
    if rows.is_cuda:
        from worker.engine.s3gen.finishkernel import launch_finish

        return launch_finish(do, rows, is_inside, *addends)
    total = rows.float() + do.bias
    for addend in addends:
        total = total + addend.float()
    total = torch.where(is_inside[:, None], total * do.scale, 0.0)
    activated = None if do.activation is None else activate(do.activation, total)
    if activated is not None:
        activated = round_to_tf32(activated) if do.is_tf32 else activated.to(rows.dtype)
    return (total.to(rows.dtype) if do.keeps_sum else None), activated


def activate(activation: Snake | Leaky, rows: torch.Tensor) -> torch.Tensor:
    """Return float32 rows, activated."""
    if isinstance(activation, Leaky):
        return torch.nn.functional.leaky_relu(rows, activation.slope)
    return rows + activation.inverse * torch.sin(rows * activation.alpha).square()
