"""What the kernels of decode attention share: which positions are a program's, and what becomes of what it found.

Knows nothing of keys and values.
"""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


@triton.jit  # type: ignore[untyped-decorator]
def own_positions(
    length: tl.tensor, split: tl.tensor, num_splits: tl.constexpr, block: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """Return the first position of a split, and the one behind its last: whole blocks, but for the end of the row."""
    width = tl.cdiv(tl.cdiv(length, num_splits), block) * block
    return split * width, tl.minimum(length, (split + 1) * width)


@triton.jit  # type: ignore[untyped-decorator]
def store_share(
    top: tl.tensor,
    total: tl.tensor,
    mixed: tl.tensor,
    query: tl.tensor,
    split: tl.tensor,
    out_ptr: tl.tensor,
    parts_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    num_splits: tl.constexpr,
    head_size: tl.constexpr,
    block_d: tl.constexpr,
) -> None:
    """Join the softmaxes of a program, and store the attention, or the split's part of it.

    Args:
        top: [block], the highest score of each softmax.
        total: [block], its sum of exp(score - top).
        mixed: [block, D], its values, weighted by that.
        query: its number.
        split: its number among those of the query.
        out_ptr: where attention goes.
        parts_ptr: where a split's mixture goes.
        sums_ptr: where a split's highest score and sum go.
        num_splits: of the query.
        head_size: D.
        block_d: the same, to a power of two.
    """
    channel = tl.arange(0, block_d)
    highest = tl.max(top, axis=0)
    share = tl.exp(top - highest)
    total_sum = tl.sum(total * share, axis=0)
    mixed_sum = tl.sum(mixed * share[:, None], axis=0)
    if num_splits == 1:
        mixed_sum = (mixed_sum / total_sum).to(out_ptr.dtype.element_ty)
        tl.store(out_ptr + query * head_size + channel, mixed_sum, mask=channel < head_size)
    else:
        part = query * num_splits + split
        tl.store(parts_ptr + part * head_size + channel, mixed_sum, mask=channel < head_size)
        tl.store(sums_ptr + part * 2, highest)
        tl.store(sums_ptr + part * 2 + 1, total_sum)
