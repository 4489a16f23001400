"""The product of bitsandbytes, activations rounded to int8 row by row, in two kernels: to compare with.

Dettmers et al. 2022, arXiv 2208.07339, section 2.1, without outliers.
"""

from __future__ import annotations

import torch  # noqa: TID253
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.tiles import Tile
from worker.engine.kernels.packedlinear import INT8_MAX


def linear(x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor, tile: Tile) -> torch.Tensor:
    """Multiply x [M, K] by weight [N, K] int8 of scales absmax [N]; returns [M, N] in the precision of x."""
    return multiply(*round_rows(x), weight, absmax, tile, x.dtype)


def round_rows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x [M, K] as int8, and the largest magnitude of each row [M] float32."""
    num_rows, num_columns = x.shape
    rounded = x.new_empty(x.shape, dtype=torch.int8)
    row_absmax = x.new_empty(num_rows, dtype=torch.float32)
    _round_rows[(num_rows,)](
        x,
        rounded,
        row_absmax,
        num_columns=num_columns,
        int8_max=INT8_MAX,
        block=triton.next_power_of_2(num_columns),
        num_warps=4,
    )
    return rounded, row_absmax


def multiply(
    rounded: torch.Tensor,
    row_absmax: torch.Tensor,
    weight: torch.Tensor,
    absmax: torch.Tensor,
    tile: Tile,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Multiply what `round_rows` returned by weight [N, K]; K is a multiple of the tile's block."""
    num_rows, num_inputs = rounded.shape
    num_outputs = weight.shape[0]
    assert num_inputs % tile.block_k == 0
    out = rounded.new_empty((num_rows, num_outputs), dtype=dtype)
    _multiply_rounded[(triton.cdiv(num_rows, tile.block_m), triton.cdiv(num_outputs, tile.block_n))](
        rounded,
        row_absmax,
        weight,
        absmax,
        out,
        num_rows,
        num_outputs,
        num_inputs,
        int8_max=INT8_MAX,
        block_m=tile.block_m,
        block_n=tile.block_n,
        block_k=tile.block_k,
        num_warps=tile.num_warps,
        num_stages=tile.num_stages,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _round_rows(
    x_ptr: tl.tensor,
    rounded_ptr: tl.tensor,
    row_absmax_ptr: tl.tensor,
    num_columns: tl.constexpr,
    int8_max: tl.constexpr,
    block: tl.constexpr,
) -> None:
    row = tl.program_id(0)
    column = tl.arange(0, block)
    is_inside = column < num_columns
    x = tl.load(x_ptr + row * num_columns + column, mask=is_inside, other=0.0).to(tl.float32)
    absmax = tl.max(tl.abs(x), axis=0)
    # Adding 1.5 * 2**23 leaves no bits below 1, and rounds half to even.
    rounded = (x * (int8_max / tl.maximum(absmax, 1e-30)) + 12582912.0) - 12582912.0
    tl.store(rounded_ptr + row * num_columns + column, rounded.to(tl.int8), mask=is_inside)
    tl.store(row_absmax_ptr + row, absmax)


@triton.jit(do_not_specialize=["num_rows"])  # type: ignore[untyped-decorator]
def _multiply_rounded(
    x_ptr: tl.tensor,
    row_absmax_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    absmax_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_rows: tl.tensor,
    num_outputs: tl.tensor,
    num_inputs: tl.tensor,
    int8_max: tl.constexpr,
    block_m: tl.constexpr,
    block_n: tl.constexpr,
    block_k: tl.constexpr,
) -> None:
    m = tl.program_id(0) * block_m + tl.arange(0, block_m)
    n = tl.program_id(1) * block_n + tl.arange(0, block_n)
    k = tl.arange(0, block_k)
    x_at = x_ptr + tl.minimum(m, num_rows - 1)[:, None] * num_inputs + k[None, :]
    weight_at = weight_ptr + tl.minimum(n, num_outputs - 1)[None, :] * num_inputs + k[:, None]
    sums = tl.zeros([block_m, block_n], dtype=tl.int32)
    for _ in range(0, num_inputs, block_k):
        sums = tl.dot(tl.load(x_at), tl.load(weight_at), sums, out_dtype=tl.int32)
        x_at += block_k
        weight_at += block_k
    row_scale = tl.load(row_absmax_ptr + m, mask=m < num_rows, other=0.0) / int8_max
    scale = tl.load(absmax_ptr + n, mask=n < num_outputs, other=0.0) / int8_max
    out = sums.to(tl.float32) * row_scale[:, None] * scale[None, :]
    is_written = (m < num_rows)[:, None] & (n < num_outputs)[None, :]
    tl.store(out_ptr + m[:, None] * num_outputs + n[None, :], out.to(out_ptr.dtype.element_ty), mask=is_written)
