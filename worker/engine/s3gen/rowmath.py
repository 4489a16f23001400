"""What our kernels do to a tile of whole rows between two products: norm and activations, in Triton.

A row has 256 numbers, so that a tile holds whole rows: what lies between products never leaves the chip. Knows nothing
of layers.
"""

from __future__ import annotations

from typing import Final

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

#: Rows of a tile, and numbers that a product takes in at a time.
TILE_ROWS: Final = 128
BLOCK: Final = 64

#: That of `torch.nn.LayerNorm`.
EPSILON: Final = 1e-5


@triton.jit  # type: ignore[untyped-decorator]
def normalise(
    x: tl.tensor, scale: tl.tensor, shift: tl.tensor, epsilon: tl.constexpr, width: tl.constexpr
) -> tl.tensor:
    """Normalise the rows of a tile, [tile_rows, width] float32; scale and shift are pointers to width numbers."""
    columns = tl.arange(0, width)
    x = x - (tl.sum(x, 1) / width)[:, None]
    x = x * tl.math.rsqrt(tl.sum(x * x, 1) / width + epsilon)[:, None]
    return x * tl.load(scale + columns).to(tl.float32)[None, :] + tl.load(shift + columns).to(tl.float32)[None, :]


@triton.jit  # type: ignore[untyped-decorator]
def mish(x: tl.tensor) -> tl.tensor:
    """Return x tanh(log(1 + e^x)), as a ratio of powers of e^x; from 20 on it is x."""
    power = tl.math.exp2(1.4426950408889634 * tl.minimum(x, 20.0))
    ratio = power * (power + 2.0)
    return x * ratio / (ratio + 2.0)
