"""The product of float activations and int8 weights on CUDA: the weights are int8 in memory and float16 in registers.

Knows nothing of layers. Activations are not rounded: bitsandbytes rounds each row of them to int8 (Dettmers et al.
2022, arXiv 2208.07339), and its product is twice as far from the unquantised one (0.9 against 0.4 % on an H200).
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import torch.nn.functional as F  # noqa: N812, TID253 - the name everybody knows it by
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused import fewrows
from worker.engine.kernels.fused.activation import gate, silu_mul
from worker.engine.kernels.fused.conversion import HAS_ASSEMBLY, to_float
from worker.engine.kernels.fused.floatweight import float_weight
from worker.engine.kernels.fused.splits import add_splits
from worker.engine.kernels.fused.tiles import MAX_FUSED_ROWS, Tile, gated_tile_for, tile_for
from worker.engine.kernels.packedlinear import INT8_MAX


def linear(x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor, tile: Tile | None = None) -> torch.Tensor:
    """Multiply x [M, K] by weight [N, K] int8 of scales absmax [N]; returns [M, N] in the precision of x."""
    if tile is None and x.shape[0] > MAX_FUSED_ROWS:
        return F.linear(x, float_weight(weight, absmax, x.dtype))
    product = partial_linear(x, weight, absmax, tile)
    if product.ndim == x.ndim:
        return product
    return add_splits(product, x.dtype)


def linear_silu_mul(
    x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor, tile: Tile | None = None
) -> torch.Tensor:
    """Multiply x [M, K] by weight [2 I, K], the gate first, and gate the product; returns [M, I]."""
    if tile is None and x.shape[0] > MAX_FUSED_ROWS:
        return silu_mul(linear(x, weight, absmax))
    num_outputs = weight.shape[0] // 2
    tile = tile or gated_tile_for(x.shape[0], num_outputs, x.shape[1])
    if tile.block_m == 0:
        return fewrows.linear(x, weight, absmax, tile, is_gated=True)
    assert tile.num_splits == 1, "a gate needs the whole sum"
    out = x.new_empty(x.shape[0], num_outputs)
    _launch(x, weight, absmax, out, tile, width=triton.cdiv(x.shape[1], tile.block_k) * tile.block_k, is_gated=True)
    return out


def partial_linear(
    x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor, tile: Tile | None = None
) -> torch.Tensor:
    """Multiply as `linear` does, but leave the splits to be added by whoever reads the result next.

    Returns:
        [M, N] in the precision of x; or, where the inputs are split, [splits, M, N] float32.
    """
    num_rows, num_inputs = x.shape
    if tile is None and num_rows > MAX_FUSED_ROWS:
        return linear(x, weight, absmax)
    num_outputs = weight.shape[0]
    tile = tile or tile_for(num_rows, num_outputs, num_inputs)
    if tile.block_m == 0:
        return fewrows.linear(x, weight, absmax, tile)
    width = triton.cdiv(triton.cdiv(num_inputs, tile.num_splits), tile.block_k) * tile.block_k
    num_splits = triton.cdiv(num_inputs, width)
    shape = (num_rows, num_outputs)
    out = x.new_empty(shape) if num_splits == 1 else x.new_empty((num_splits, *shape), dtype=torch.float32)
    _launch(x, weight, absmax, out, tile, width=width, is_gated=False)
    return out


def _launch(
    x: torch.Tensor,
    weight: torch.Tensor,
    absmax: torch.Tensor,
    out: torch.Tensor,
    tile: Tile,
    *,
    width: int,
    is_gated: bool,
) -> None:
    """Fill out [M, N] or [splits, M, N], each split over `width` inputs, a multiple of the tile's block."""
    # With eight, one group of four warps refills shared memory from which the tensor core of the other still reads:
    # Triton 3.6 puts no barrier between them where the left side comes from registers (measured: wrong by 0.1 to 2.8).
    assert tile.num_warps == 4
    num_rows, num_outputs = out.shape[-2:]
    num_inputs = x.shape[1]
    num_splits = triton.cdiv(num_inputs, width)
    # The blocks of rows come first: those that share weights run at the same time and find them in the L2 cache.
    grid = (triton.cdiv(num_rows, tile.block_m), triton.cdiv(num_outputs, tile.block_n), num_splits)
    _multiply[grid](
        x,
        weight,
        absmax,
        out,
        num_rows,
        num_outputs,
        num_inputs,
        width,
        is_whole=num_splits * width == num_inputs,
        is_gated=is_gated,
        int8_max=INT8_MAX,
        has_assembly=HAS_ASSEMBLY and x.dtype == torch.float16,
        block_m=tile.block_m,
        block_n=tile.block_n,
        block_k=tile.block_k,
        num_warps=tile.num_warps,
        num_stages=tile.num_stages,
    )


# One compilation for any number of rows: prefill brings thousands of them, in all numbers.
@triton.jit(do_not_specialize=["num_rows"])  # type: ignore[untyped-decorator]
def _multiply(
    x_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    absmax_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_rows: tl.tensor,
    num_outputs: tl.tensor,
    num_inputs: tl.tensor,
    inputs_per_split: tl.tensor,
    is_whole: tl.constexpr,
    is_gated: tl.constexpr,
    int8_max: tl.constexpr,
    has_assembly: tl.constexpr,
    block_m: tl.constexpr,
    block_n: tl.constexpr,
    block_k: tl.constexpr,
) -> None:
    # The transposed product: Hopper's tensor cores take their left side from registers, where the weights are
    # converted, and their left side has at least 64 rows, which outputs fill and a few rows of input would not.
    split = tl.program_id(2)
    m = tl.program_id(0) * block_m + tl.arange(0, block_m)
    n = tl.program_id(1) * block_n + tl.arange(0, block_n)
    k = split * inputs_per_split + tl.arange(0, block_k)
    # Rows past the last are read again from the last, and not written.
    x_at = x_ptr + tl.minimum(m, num_rows - 1)[None, :] * num_inputs + k[:, None]
    weight_at = weight_ptr + tl.minimum(n, num_outputs - 1)[:, None] * num_inputs + k[None, :]
    # What is gated lies as many rows behind its gate as there are outputs.
    up_offset = num_outputs * num_inputs
    sums = tl.zeros([block_n, block_m], dtype=tl.float32)
    ups = tl.zeros([block_n, block_m], dtype=tl.float32)
    for start in range(0, inputs_per_split, block_k):
        is_inside = start + k < num_inputs
        x = _load(x_at, is_inside[:, None], is_whole)
        weight = _load(weight_at, is_inside[None, :], is_whole)
        sums = tl.dot(to_float(weight, x.dtype, has_assembly), x, sums, input_precision="ieee")
        if is_gated:
            weight = _load(weight_at + up_offset, is_inside[None, :], is_whole)
            ups = tl.dot(to_float(weight, x.dtype, has_assembly), x, ups, input_precision="ieee")
        weight_at += block_k
        x_at += block_k
    is_output = n < num_outputs
    out = sums * (tl.load(absmax_ptr + n, mask=is_output, other=0.0) / int8_max)[:, None]
    if is_gated:
        up = ups * (tl.load(absmax_ptr + num_outputs + n, mask=is_output, other=0.0) / int8_max)[:, None]
        out = gate(out, up, out_ptr.dtype.element_ty)
    at = split * num_rows * num_outputs + m[None, :] * num_outputs + n[:, None]
    is_written = (m < num_rows)[None, :] & is_output[:, None]
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=is_written)


@triton.jit  # type: ignore[untyped-decorator]
def _load(at: tl.tensor, is_inside: tl.tensor, is_whole: tl.constexpr) -> tl.tensor:
    """Load a block; the mask of one that lies wholly inside would only be in the way of wide accesses."""
    if is_whole:
        return tl.load(at)
    return tl.load(at, mask=is_inside, other=0.0)
