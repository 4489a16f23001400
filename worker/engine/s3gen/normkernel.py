"""A residual sum and the norm behind it, in one Triton kernel over tiles of packed rows.

Knows nothing of sequences.
"""

from __future__ import annotations

import torch  # noqa: TID253 - loaded on a GPU only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.rowmath import EPSILON, normalise
from worker.engine.s3gen.weights import Affine

#: Rows of a tile: 16 kB in half precision, enough loads in flight for a kernel that only moves memory.
_TILE_ROWS = 32


def add_norm(rows: torch.Tensor, added: torch.Tensor, norm: Affine) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows + added, and the norm of that, both [R, C].

    Args:
        rows: [R, C], contiguous.
        added: [R, C], contiguous.
        norm: scale and shift, [C].
    """
    total, normed = torch.empty_like(rows), torch.empty_like(rows)
    _add_norm[(triton.cdiv(rows.shape[0], _TILE_ROWS),)](
        rows,
        added,
        total,
        normed,
        *norm,
        rows.shape[0],
        epsilon=EPSILON,
        width=rows.shape[1],
        tile_rows=_TILE_ROWS,
    )
    return total, normed


@triton.jit(do_not_specialize=["num_rows"])  # type: ignore[untyped-decorator]
def _add_norm(
    rows: tl.tensor,
    added: tl.tensor,
    total: tl.tensor,
    normed: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    num_rows: tl.tensor,
    epsilon: tl.constexpr,
    width: tl.constexpr,
    tile_rows: tl.constexpr,
) -> None:
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    inside = row[:, None] < num_rows
    places = row.to(tl.int64)[:, None] * width + tl.arange(0, width)[None, :]
    x = tl.load(rows + places, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(added + places, mask=inside, other=0.0).to(tl.float32)
    kept = x.to(total.dtype.element_ty)
    tl.store(total + places, kept, mask=inside)
    # What is kept is what is normalised, as if the sum had been taken before.
    x = normalise(kept.to(tl.float32), scale, shift, epsilon, width)
    tl.store(normed + places, x.to(normed.dtype.element_ty), mask=inside)
