"""RMS normalisation on CUDA, alone or with what stands before it: a sum over splits, and the residual addition.

Knows nothing of layers. A program owns a row, so that a row's result does not depend on the others.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """See `worker.engine.kernels.operations`."""
    normed = torch.empty_like(x)
    _launch(x, None, weight, normed, None, eps=eps, num_splits=0)
    return normed


def add_rms_norm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `worker.engine.kernels.operations`; x may also be the parts of a split product.

    Args:
        x: [B, C], or [splits, B, C] float32 to be added up, in this order, and rounded to the precision of residual.
        residual: [B, C].
        weight: [C].
        eps: added to the mean square.
    """
    normed, total = torch.empty_like(residual), torch.empty_like(residual)
    num_splits = x.shape[0] if x.ndim == residual.ndim + 1 else 0
    _launch(x, residual, weight, normed, total, eps=eps, num_splits=num_splits)
    return normed, total


def _launch(
    x: torch.Tensor,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    normed: torch.Tensor,
    total: torch.Tensor | None,
    *,
    eps: float,
    num_splits: int,
) -> None:
    num_rows, num_columns = normed.shape
    _rms_norm[(num_rows,)](
        x,
        residual,
        weight,
        normed,
        total,
        eps,
        num_rows,
        num_columns=num_columns,
        num_splits=num_splits,
        block=triton.next_power_of_2(num_columns),
        num_warps=4,
    )


@triton.jit(do_not_specialize=["num_rows"])  # type: ignore[untyped-decorator]
def _rms_norm(
    x_ptr: tl.tensor,
    residual_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    normed_ptr: tl.tensor,
    total_ptr: tl.tensor,
    eps: tl.tensor,
    num_rows: tl.tensor,
    num_columns: tl.constexpr,
    num_splits: tl.constexpr,
    block: tl.constexpr,
) -> None:
    dtype: tl.constexpr = normed_ptr.dtype.element_ty
    row = tl.program_id(0)
    column = tl.arange(0, block)
    is_inside = column < num_columns
    at = row * num_columns + column
    if num_splits == 0:
        x = tl.load(x_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    else:
        x = tl.zeros([block], dtype=tl.float32)
        for split in tl.static_range(num_splits):
            x += tl.load(x_ptr + split * num_rows * num_columns + at, mask=is_inside, other=0.0)
        x = x.to(dtype).to(tl.float32)
    if residual_ptr is not None:
        x += tl.load(residual_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
        x = x.to(dtype).to(tl.float32)
        tl.store(total_ptr + at, x.to(dtype), mask=is_inside)
    mean_square = tl.sum(x * x, axis=0) / num_columns
    # Rounded before the weight, as transformers does it.
    normed = (x * tl.rsqrt(mean_square + eps)).to(dtype).to(tl.float32)
    weight = tl.load(weight_ptr + column, mask=is_inside, other=0.0).to(tl.float32)
    tl.store(normed_ptr + at, (normed * weight).to(dtype), mask=is_inside)
