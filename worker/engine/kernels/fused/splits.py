"""The sum over the splits of a product on CUDA, where nothing else adds them up.

Knows nothing of products. The order is fixed and there are no atomics, so that a result is the same every time.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


def add_splits(parts: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the sum [M, N], rounded to a precision, of parts [splits, M, N] float32."""
    out = parts.new_empty(parts.shape[1:], dtype=dtype)
    block = 1024
    _add_splits[(triton.cdiv(out.numel(), block),)](
        parts,
        out,
        out.numel(),
        num_splits=parts.shape[0],
        block=block,
        num_warps=4,
    )
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _add_splits(
    parts_ptr: tl.tensor,
    out_ptr: tl.tensor,
    num_numbers: tl.tensor,
    num_splits: tl.constexpr,
    block: tl.constexpr,
) -> None:
    at = tl.program_id(0) * block + tl.arange(0, block)
    is_inside = at < num_numbers
    total = tl.zeros([block], dtype=tl.float32)
    for split in tl.static_range(num_splits):
        total += tl.load(parts_ptr + split * num_numbers + at, mask=is_inside, other=0.0)
    tl.store(out_ptr + at, total.to(out_ptr.dtype.element_ty), mask=is_inside)
