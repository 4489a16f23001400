"""The gated activation of the MLP on CUDA. Knows nothing of the products around it."""

from __future__ import annotations

from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

#: Outputs of a program: 128 threads, 8 each, which is one access of 16 bytes in half precision.
BLOCK: Final = 1024


def silu_mul(gate_up: torch.Tensor) -> torch.Tensor:
    """See `worker.engine.kernels.operations`."""
    num_rows, width = gate_up.shape
    out = gate_up.new_empty(num_rows, width // 2)
    _silu_mul[(triton.cdiv(width // 2, BLOCK), num_rows)](gate_up, out, width // 2, block=BLOCK, num_warps=4)
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _silu_mul(gate_up_ptr: tl.tensor, out_ptr: tl.tensor, width: tl.tensor, block: tl.constexpr) -> None:
    row = tl.program_id(1)
    column = tl.program_id(0) * block + tl.arange(0, block)
    is_inside = column < width
    at = gate_up_ptr + 2 * row * width + column
    first = tl.load(at, mask=is_inside, other=0.0).to(tl.float32)
    second = tl.load(at + width, mask=is_inside, other=0.0).to(tl.float32)
    dtype: tl.constexpr = out_ptr.dtype.element_ty
    tl.store(out_ptr + row * width + column, gate(first, second, dtype).to(dtype), mask=is_inside)


@triton.jit  # type: ignore[untyped-decorator]
def gate(first: tl.tensor, second: tl.tensor, dtype: tl.constexpr) -> tl.tensor:
    """Return silu(first) * second in float32, of float32 numbers; rounded on the way where separate kernels would."""
    first, second = first.to(dtype).to(tl.float32), second.to(dtype).to(tl.float32)
    return (first * tl.sigmoid(first)).to(dtype).to(tl.float32) * second
