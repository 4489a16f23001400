"""The keys and values of one layer: floats, or numbers of eight bits with a scale for each key and each value.

Knows nothing of who writes or reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels.packedlinear import INT8_MAX

#: The least scale, the smallest float16 that is not subnormal: below it a scale would be rounded so coarsely that a
#: number could exceed 127 of it.
LEAST_ABSMAX: Final = 2.0**-14


@dataclass(frozen=True, slots=True)
class KVLayer:
    """What attention reads. R rows, H heads, S positions, D head size; any strides but the last.

    Attributes:
        keys: [R, H, S, D], float32, bfloat16 or float16; or int8.
        values: the same.
        absmax: None beside floats; beside int8 [R, H, S, 2] float16, the largest magnitude of each key and of each
            value, side by side, so that attention reads both at once. A number is `keys * absmax[..., 0] / 127`.
    """

    keys: torch.Tensor
    values: torch.Tensor
    absmax: torch.Tensor | None = None

    def __post_init__(self) -> None:
        assert self.keys.stride() == self.values.stride()
        assert self.keys.stride(3) == 1
        assert (self.keys.dtype == torch.int8) == (self.absmax is not None)
        if self.absmax is not None:
            assert self.absmax.shape == (*self.keys.shape[:3], 2)
            assert self.absmax.stride(3) == 1
            assert self.absmax.dtype == torch.float16

    def read(self, rows: torch.Tensor, num_positions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first keys and values of some rows [B], each [B, H, positions, D]; in float32 if rounded."""
        keys, values = self.keys[rows, :, :num_positions], self.values[rows, :, :num_positions]
        if self.absmax is None:
            return keys, values
        scale = self.absmax[rows, :, :num_positions].float() / INT8_MAX
        return keys.float() * scale[..., :1], values.float() * scale[..., 1:]

    def keys_of(self, rows: torch.Tensor, head: int) -> torch.Tensor:
        """Return all keys of one head of some rows [B], [B, S, D] float32."""
        keys = self.keys[rows, head].float()
        if self.absmax is None:
            return keys
        return keys * (self.absmax[rows, head, :, :1].float() / INT8_MAX)


def round_to_int8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide each vector by its largest magnitude, and round it to whole 127ths.

    Symmetric and without a zero point (Dettmers et al. 2022, arXiv 2208.07339, section 2.1, for the rows of a matrix).
    A vector that is not finite gets an infinite scale, so that whoever reads it notices.

    Args:
        x: [..., D] float32.

    Returns:
        [..., D] int8; [...] float16, the largest magnitude.
    """
    magnitude = x.abs().nan_to_num(nan=math.inf, posinf=math.inf).amax(dim=-1)
    absmax = magnitude.clamp(min=LEAST_ABSMAX).to(torch.float16)
    rounded = (x * (INT8_MAX / absmax.float()).unsqueeze(-1)).round()
    return rounded.nan_to_num(nan=0.0).to(torch.int8), absmax
