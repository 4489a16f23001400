"""A causal block, convolution, norm and activation, in one Triton kernel over tiles of packed rows.

Knows nothing of sequences, apart from the mask that says which rows are read as zeros.
"""

from __future__ import annotations

import torch  # noqa: TID253 - loaded on a GPU only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.rowmath import BLOCK, EPSILON, TILE_ROWS, mish, normalise
from worker.engine.s3gen.weights import CausalBlock


def convolve_block(
    rows: torch.Tensor,
    mask: torch.Tensor,
    block: CausalBlock,
    *,
    shift: torch.Tensor | None = None,
    added: torch.Tensor | None = None,
    num_warps: int = 8,
    num_stages: int = 3,
) -> torch.Tensor:
    """Return a causal block: convolution over three frames, norm, Mish, and what is added to it, [R, C].

    Args:
        rows: [R, in], contiguous; where the mask is false, zeros are read in place of them.
        mask: [R, 1] bool.
        block: the block's weights.
        shift: [C], added to every row.
        added: [R, C], added row by row.
        num_warps: of a program.
        num_stages: loads in flight ahead of their use.
    """
    num_rows, width = rows.shape
    num_channels = block.conv.weight.shape[0]
    convolved = torch.empty(num_rows, num_channels, device=rows.device, dtype=rows.dtype)
    _convolve_block[(triton.cdiv(num_rows, TILE_ROWS),)](
        rows,
        mask,
        convolved,
        *block.conv,
        *block.norm,
        rows if shift is None else shift,
        rows if added is None else added,
        num_rows,
        epsilon=EPSILON,
        width=width,
        out_width=num_channels,
        has_shift=shift is not None,
        has_added=added is not None,
        tile_rows=TILE_ROWS,
        block=BLOCK,
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return convolved


@triton.jit(do_not_specialize=["num_rows"])  # type: ignore[untyped-decorator]
def _convolve_block(
    rows: tl.tensor,
    mask: tl.tensor,
    convolved: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    scale: tl.tensor,
    shift: tl.tensor,
    time_shift: tl.tensor,
    added: tl.tensor,
    num_rows: tl.tensor,
    epsilon: tl.constexpr,
    width: tl.constexpr,
    out_width: tl.constexpr,
    has_shift: tl.constexpr,
    has_added: tl.constexpr,
    tile_rows: tl.constexpr,
    block: tl.constexpr,
) -> None:
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    columns = tl.arange(0, out_width)
    inside = row[:, None] < num_rows
    x = tl.zeros([tile_rows, out_width], tl.float32)
    for k in tl.range(0, 3 * width, block):
        # A block lies within one of the three taps: the width is a multiple of it.
        tap = k // width
        ks = k + tl.arange(0, block)
        source = row - 2 + tap
        there = (source >= 0) & (source < num_rows)
        is_real = tl.load(mask + source, mask=there, other=0) != 0
        channel = ks - tap * width
        part = tl.load(rows + source.to(tl.int64)[:, None] * width + channel[None, :], mask=is_real[:, None], other=0.0)
        x = tl.dot(part, tl.load(weight + columns[None, :] * (3 * width) + ks[:, None]), x)
    x += tl.load(bias + columns).to(tl.float32)[None, :]
    x = mish(normalise(x, scale, shift, epsilon, out_width))
    places = row.to(tl.int64)[:, None] * out_width + columns[None, :]
    if has_shift:
        x += tl.load(time_shift + columns).to(tl.float32)[None, :]
    if has_added:
        x += tl.load(added + places, mask=inside, other=0.0).to(tl.float32)
    tl.store(convolved + places, x.to(convolved.dtype.element_ty), mask=inside)
