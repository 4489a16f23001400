"""The estimator's section in three Triton kernels, each over tiles of packed rows as wide as the model.

A row has 256 numbers, so a tile holds whole rows: norms, activations and sums happen where the products are, and what
lies between them never leaves the chip. Weights are read from the L2 cache by every tile. Knows nothing of sequences,
apart from the mask that the convolution obeys.
"""

from __future__ import annotations

from typing import Final

import torch  # noqa: TID253 - loaded on a GPU only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.s3gen.weights import Affine, CausalBlock, Transformer

#: Rows of a tile, and numbers that a product takes in at a time.
TILE_ROWS: Final = 128
BLOCK: Final = 64

#: That of `torch.nn.LayerNorm`.
EPSILON: Final = 1e-5


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


@triton.jit  # type: ignore[untyped-decorator]
def _normalise(
    x: tl.tensor, scale: tl.tensor, shift: tl.tensor, epsilon: tl.constexpr, width: tl.constexpr
) -> tl.tensor:
    """Normalise the rows of a tile, [tile_rows, width] float32; scale and shift are pointers to width numbers."""
    columns = tl.arange(0, width)
    x = x - (tl.sum(x, 1) / width)[:, None]
    x = x * tl.math.rsqrt(tl.sum(x * x, 1) / width + epsilon)[:, None]
    return x * tl.load(scale + columns).to(tl.float32)[None, :] + tl.load(shift + columns).to(tl.float32)[None, :]


@triton.jit  # type: ignore[untyped-decorator]
def _gelu(x: tl.tensor) -> tl.tensor:
    """Return GELU with the error function of Abramowitz and Stegun 7.1.26, which is exact to 1.5e-7."""
    z = tl.abs(x) * 0.7071067811865476
    t = 1.0 / (1.0 + 0.3275911 * z)
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = tail * tl.math.exp2(-1.4426950408889634 * z * z)
    return 0.5 * (x + tl.abs(x) * (1.0 - tail))


@triton.jit  # type: ignore[untyped-decorator]
def _mish(x: tl.tensor) -> tl.tensor:
    """Return x tanh(log(1 + e^x)), as a ratio of powers of e^x; from 20 on it is x."""
    power = tl.math.exp2(1.4426950408889634 * tl.minimum(x, 20.0))
    ratio = power * (power + 2.0)
    return x * ratio / (ratio + 2.0)


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
    normed = _normalise(x, scale, shift, epsilon, width).to(rows.dtype.element_ty)
    part: tl.constexpr = out_width // 2
    first = tl.program_id(1) * part
    for out in tl.range(0, part, block_out):
        outs = first + out + tl.arange(0, block_out)
        product = tl.dot(normed, tl.load(weight + outs[None, :] * width + columns[:, None]))
        tl.store(projected + offsets * out_width + outs[None, :], product.to(projected.dtype.element_ty), mask=inside)


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
    normed = _normalise(x, scale, shift, epsilon, width).to(rows.dtype.element_ty)

    total = tl.zeros([tile_rows, width], tl.float32)
    for up in tl.range(0, up_width, block_up):
        ups = up + tl.arange(0, block_up)
        hidden = tl.dot(normed, tl.load(up_weight + ups[None, :] * width + columns[:, None]))
        hidden = _gelu(hidden + tl.load(up_bias + ups).to(tl.float32)[None, :]).to(rows.dtype.element_ty)
        total = tl.dot(hidden, tl.load(down_weight + columns[None, :] * up_width + ups[:, None]), total)
    total += tl.load(down_bias + columns).to(tl.float32)[None, :]
    tl.debug_barrier()
    total += tl.load(finished + places, mask=inside, other=0.0).to(tl.float32)
    tl.store(finished + places, total.to(finished.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
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
    x = _mish(_normalise(x, scale, shift, epsilon, out_width))
    places = row.to(tl.int64)[:, None] * out_width + columns[None, :]
    if has_shift:
        x += tl.load(time_shift + columns).to(tl.float32)[None, :]
    if has_added:
        x += tl.load(added + places, mask=inside, other=0.0).to(tl.float32)
    tl.store(convolved + places, x.to(convolved.dtype.element_ty), mask=inside)
