"""How a program of decode attention attends to keys and values that are floats.

Knows nothing of how the positions are shared out.
"""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.attentionshare import own_positions, store_share


@triton.jit  # type: ignore[untyped-decorator]
def attend_floats(
    q_ptr: tl.tensor,
    keys_ptr: tl.tensor,
    values_ptr: tl.tensor,
    rows_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    out_ptr: tl.tensor,
    parts_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    row_stride: tl.tensor,
    head_stride: tl.tensor,
    position_stride: tl.tensor,
    scale: tl.tensor,
    num_splits: tl.constexpr,
    block: tl.constexpr,
    blocks_in_flight: tl.constexpr,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    block_d: tl.constexpr,
) -> None:
    """Attend from the query (head, entry) to the positions of a split."""
    head, entry, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = tl.load(rows_ptr + entry).to(tl.int64)
    length = tl.load(lengths_ptr + entry).to(tl.int32)
    begin, end = own_positions(length, split, num_splits, block)

    channel = tl.arange(0, block_d)
    query = entry * num_heads + head
    q = tl.load(q_ptr + query * head_size + channel, mask=channel < head_size, other=0.0).to(tl.float32) * scale
    slot = tl.arange(0, block)
    offset = row * row_stride + head * head_stride + slot[:, None] * position_stride + channel[None, :]
    # Each of the `block` slots keeps a softmax of its own over every block-th position, so that the loop has no
    # barrier; they are joined once, behind it (Milakov & Gimelshein 2018, arXiv 1805.02867).
    top = tl.full([block], -1e30, dtype=tl.float32)
    total = tl.zeros([block], dtype=tl.float32)
    mixed = tl.zeros([block, block_d], dtype=tl.float32)
    for start in tl.range(begin, end, block, num_stages=blocks_in_flight):
        is_read = start + slot < end
        mask = is_read[:, None] & (channel < head_size)[None, :]
        at = offset + start * position_stride
        k = tl.load(keys_ptr + at, mask=mask, other=0.0)
        v = tl.load(values_ptr + at, mask=mask, other=0.0)
        score = tl.where(is_read, tl.sum(k.to(tl.float32) * q[None, :], axis=1), float("-inf"))
        new_top = tl.maximum(top, score)
        kept, weight = tl.exp(top - new_top), tl.exp(score - new_top)
        total = total * kept + weight
        mixed = mixed * kept[:, None] + weight[:, None] * v.to(tl.float32)
        top = new_top
    store_share(top, total, mixed, query, split, out_ptr, parts_ptr, sums_ptr, num_splits, head_size, block_d)
