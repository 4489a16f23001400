"""An int8 weight as floats on CUDA, in one pass: for products of so many rows that cuBLAS is worth a copy.

Knows nothing of products.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.conversion import HAS_ASSEMBLY, to_float32
from worker.engine.kernels.packedlinear import INT8_MAX


def float_weight(weight: torch.Tensor, absmax: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a weight [N, K] int8 of scales absmax [N] in another precision, for as long as one product takes."""
    num_outputs, num_inputs = weight.shape
    out = torch.empty_like(weight, dtype=dtype)
    block = min(1024, triton.next_power_of_2(num_inputs))
    _to_float_weight[(triton.cdiv(num_inputs, block), num_outputs)](
        weight,
        absmax,
        out,
        num_inputs,
        int8_max=INT8_MAX,
        has_assembly=HAS_ASSEMBLY,
        block=block,
        # Sixteen bytes of int8 a thread.
        num_warps=max(1, block // 512),
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _to_float_weight(
    weight_ptr: tl.tensor,
    absmax_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_inputs: tl.tensor,
    int8_max: tl.constexpr,
    has_assembly: tl.constexpr,
    block: tl.constexpr,
) -> None:
    output = tl.program_id(1)
    channel = tl.program_id(0) * block + tl.arange(0, block)
    is_inside = channel < num_inputs
    at = output * num_inputs + channel
    scale = tl.load(absmax_ptr + output) / int8_max
    weight = to_float32(tl.load(weight_ptr + at, mask=is_inside, other=0), has_assembly) * scale
    tl.store(out_ptr + at, weight.to(out_ptr.dtype.element_ty), mask=is_inside)
