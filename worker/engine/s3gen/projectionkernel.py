"""A norm and the projection behind it, in one Triton kernel over tiles of packed rows.

Knows nothing of sequences.
"""

from __future__ import annotations

import torch  # noqa: TID253 - loaded on a GPU only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.rowmath import BLOCK, EPSILON, TILE_ROWS, normalise
from worker.engine.s3gen.weights import Affine


def project_normed(
    rows: torch.Tensor,
    norm: Affine,
    weight: torch.Tensor,
    *,
    block_out: int = BLOCK,
    num_warps: int = 8,
    num_stages: int = 3,
) -> torch.Tensor:
    """Return norm(rows) times the weight, [R, out].

    Args:
        rows: [R, C], contiguous.
        norm: scale and shift, [C].
        weight: [out, C], out a multiple of twice the block.
        block_out: numbers of the result at a time.
        num_warps: of a program.
        num_stages: loads in flight ahead of their use.
    """
    num_rows, width = rows.shape
    projected = torch.empty(num_rows, weight.shape[0], device=rows.device, dtype=rows.dtype)
    _project_normed[(triton.cdiv(num_rows, TILE_ROWS), 2)](
        rows,
        *norm,
        weight,
        projected,
        num_rows,
        epsilon=EPSILON,
        width=width,
        out_width=weight.shape[0],
        tile_rows=TILE_ROWS,
        block_out=block_out,
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return projected


@triton.jit  # type: ignore[untyped-decorator]
def _project_normed(
    rows: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    weight: tl.tensor,
    projected: tl.tensor,
    num_rows: tl.tensor,
    epsilon: tl.constexpr,
    width: tl.constexpr,
    out_width: tl.constexpr,
    tile_rows: tl.constexpr,
    block_out: tl.constexpr,
) -> None:
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    columns = tl.arange(0, width)
    inside = row[:, None] < num_rows
    offsets = row.to(tl.int64)[:, None]
    x = tl.load(rows + offsets * width + columns[None, :], mask=inside, other=0.0).to(tl.float32)
    normed = normalise(x, scale, shift, epsilon, width).to(rows.dtype.element_ty)
    part: tl.constexpr = out_width // 2
    first = tl.program_id(1) * part
    for out in tl.range(0, part, block_out):
        outs = first + out + tl.arange(0, block_out)
        product = tl.dot(normed, tl.load(weight + outs[None, :] * width + columns[:, None]))
        tl.store(projected + offsets * out_width + outs[None, :], product.to(projected.dtype.element_ty), mask=inside)
