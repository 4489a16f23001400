"""All of a transformer that comes after attention, in one Triton kernel over tiles of packed rows.

Every tile reads all weights, from the L2 cache; the 1,024 hidden numbers of a row never leave the chip. Knows nothing
of sequences.
"""

from __future__ import annotations

import torch  # noqa: TID253 - loaded on a GPU only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.rowmath import BLOCK, EPSILON, TILE_ROWS, gelu, normalise
from worker.engine.s3gen.weights import Transformer


def finish_block(
    rows: torch.Tensor,
    attended: torch.Tensor,
    block: Transformer,
    *,
    tile_rows: int = TILE_ROWS,
    block_up: int = BLOCK,
    num_warps: int = 8,
    num_stages: int = 2,
) -> torch.Tensor:
    """Return all of a transformer that comes after attention: projection, sum, norm, feed-forward network, sum.

    Args:
        rows: [R, C], what the transformer was given.
        attended: [R, H D], contiguous.
        block: the transformer's weights.
        tile_rows: rows of a tile.
        block_up: hidden numbers of the feed-forward network at a time.
        num_warps: of a program.
        num_stages: loads in flight ahead of their use.
    """
    num_rows, width = rows.shape
    finished = torch.empty_like(rows)
    _finish_block[(triton.cdiv(num_rows, tile_rows),)](
        rows,
        attended,
        finished,
        *block.out,
        *block.norm2,
        *block.up,
        *block.down,
        num_rows,
        epsilon=EPSILON,
        width=width,
        attended_width=attended.shape[1],
        up_width=block.up.weight.shape[0],
        tile_rows=tile_rows,
        block=BLOCK,
        block_up=block_up,
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return finished


@triton.jit  # type: ignore[untyped-decorator]
def _finish_block(
    rows: tl.tensor,
    attended: tl.tensor,
    finished: tl.tensor,
    out_weight: tl.tensor,
    out_bias: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    up_weight: tl.tensor,
    up_bias: tl.tensor,
    down_weight: tl.tensor,
    down_bias: tl.tensor,
    num_rows: tl.tensor,
    epsilon: tl.constexpr,
    width: tl.constexpr,
    attended_width: tl.constexpr,
    up_width: tl.constexpr,
    tile_rows: tl.constexpr,
    block: tl.constexpr,
    block_up: tl.constexpr,
) -> None:
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    columns = tl.arange(0, width)
    inside = row[:, None] < num_rows
    offsets = row.to(tl.int64)[:, None]
    places = offsets * width + columns[None, :]

    x = tl.zeros([tile_rows, width], tl.float32)
    for k in tl.range(0, attended_width, block):
        ks = k + tl.arange(0, block)
        part = tl.load(attended + offsets * attended_width + ks[None, :], mask=inside, other=0.0)
        x = tl.dot(part, tl.load(out_weight + columns[None, :] * attended_width + ks[:, None]), x)
    x += tl.load(out_bias + columns).to(tl.float32)[None, :]
    x += tl.load(rows + places, mask=inside, other=0.0).to(tl.float32)
    # The sum waits in memory while the feed-forward network has the registers.
    tl.store(finished + places, x.to(finished.dtype.element_ty), mask=inside)
    normed = normalise(x, scale, shift, epsilon, width).to(rows.dtype.element_ty)

    total = tl.zeros([tile_rows, width], tl.float32)
    for up in tl.range(0, up_width, block_up):
        ups = up + tl.arange(0, block_up)
        hidden = tl.dot(normed, tl.load(up_weight + ups[None, :] * width + columns[:, None]))
        hidden = gelu(hidden + tl.load(up_bias + ups).to(tl.float32)[None, :]).to(rows.dtype.element_ty)
        total = tl.dot(hidden, tl.load(down_weight + columns[None, :] * up_width + ups[:, None]), total)
    total += tl.load(down_bias + columns).to(tl.float32)[None, :]
    tl.debug_barrier()
    total += tl.load(finished + places, mask=inside, other=0.0).to(tl.float32)
    tl.store(finished + places, total.to(finished.dtype.element_ty), mask=inside)
