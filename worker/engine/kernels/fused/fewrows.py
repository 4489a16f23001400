"""The product of a few rows of float activations and int8 weights on CUDA, without tensor cores.

Knows nothing of layers. What bounds it is memory: each weight is used once or twice for every byte that is read.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.activation import gate
from worker.engine.kernels.fused.conversion import HAS_ASSEMBLY, to_float
from worker.engine.kernels.fused.tiles import Tile
from worker.engine.kernels.packedlinear import INT8_MAX


def linear(
    x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor, tile: Tile, *, is_gated: bool = False
) -> torch.Tensor:
    """Multiply x [M, K] by weight [N, K] int8 of scales absmax [N]; returns [M, N] in the precision of x.

    Or, gated, [M, N / 2]: the first half of the outputs gates the second. Each M is a compilation of its own: a
    handful, of the smallest batches.
    """
    num_rows, num_inputs = x.shape
    num_outputs = weight.shape[0] // (2 if is_gated else 1)
    out = x.new_empty(num_rows, num_outputs)
    _multiply_few[(triton.cdiv(num_outputs, tile.block_n),)](
        x,
        weight,
        absmax,
        out,
        num_outputs,
        num_rows=num_rows,
        num_inputs=num_inputs,
        is_gated=is_gated,
        int8_max=INT8_MAX,
        has_assembly=HAS_ASSEMBLY,
        block_n=tile.block_n,
        block_k=tile.block_k,
        num_warps=tile.num_warps,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _multiply_few(
    x_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    absmax_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_outputs: tl.tensor,
    num_rows: tl.constexpr,
    num_inputs: tl.constexpr,
    is_gated: tl.constexpr,
    int8_max: tl.constexpr,
    has_assembly: tl.constexpr,
    block_n: tl.constexpr,
    block_k: tl.constexpr,
) -> None:
    # Whole rows of the weight, read once and kept in registers, for all rows of the input.
    n = tl.program_id(0) * block_n + tl.arange(0, block_n)
    k = tl.arange(0, block_k)
    is_input, is_output = k < num_inputs, n < num_outputs
    # Outputs past the last are computed as the last, and not written.
    at = weight_ptr + tl.minimum(n, num_outputs - 1)[:, None] * num_inputs + k[None, :]
    weight = to_float(tl.load(at, mask=is_input[None, :], other=0), tl.float16, has_assembly)
    scale = tl.load(absmax_ptr + n, mask=is_output, other=0.0) / int8_max
    if is_gated:
        up_at = at + num_outputs * num_inputs
        up_weight = to_float(tl.load(up_at, mask=is_input[None, :], other=0), tl.float16, has_assembly)
        up_scale = tl.load(absmax_ptr + num_outputs + n, mask=is_output, other=0.0) / int8_max
    for m in tl.static_range(num_rows):
        x = tl.load(x_ptr + m * num_inputs + k, mask=is_input, other=0.0).to(tl.float32)
        out = tl.sum(weight.to(tl.float32) * x[None, :], axis=1) * scale
        if is_gated:
            up = tl.sum(up_weight.to(tl.float32) * x[None, :], axis=1) * up_scale
            out = gate(out, up, out_ptr.dtype.element_ty)
        tl.store(out_ptr + m * num_outputs + n, out.to(out_ptr.dtype.element_ty), mask=is_output)
