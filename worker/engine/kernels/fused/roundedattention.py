"""How a program of decode attention attends to keys and values of eight bits.

Knows nothing of how the positions are shared out. Half the bytes leave half the time for each number: converted to
float32 one by one, they would take as long as they take to read. So keys are multiplied four at once, as whole
numbers, and values are converted by one instruction each.
"""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.attentionshare import own_positions, store_share
from worker.engine.kernels.fused.conversion import BIAS, dot16, lower_half, magnitude, to_biased_float32, upper_half


@triton.jit  # type: ignore[untyped-decorator]
def attend_rounded(
    q_ptr: tl.tensor,
    keys_ptr: tl.tensor,
    values_ptr: tl.tensor,
    scales_ptr: tl.tensor,
    rows_ptr: tl.tensor,
    lengths_ptr: tl.tensor,
    out_ptr: tl.tensor,
    parts_ptr: tl.tensor,
    sums_ptr: tl.tensor,
    row_stride: tl.tensor,
    head_stride: tl.tensor,
    position_stride: tl.tensor,
    scales_row_stride: tl.tensor,
    scales_head_stride: tl.tensor,
    scales_position_stride: tl.tensor,
    scale: tl.tensor,
    int8_max: tl.constexpr,
    has_assembly: tl.constexpr,
    num_splits: tl.constexpr,
    block: tl.constexpr,
    blocks_in_flight: tl.constexpr,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    block_d: tl.constexpr,
) -> None:
    """Attend from the query (head, entry) to the positions of a split; strides are those of keys four to an int32."""
    head, entry, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = tl.load(rows_ptr + entry).to(tl.int64)
    length = tl.load(lengths_ptr + entry).to(tl.int32)
    begin, end = own_positions(length, split, num_splits, block)

    query = entry * num_heads + head
    high, low, q_scale = _round_query(q_ptr + query * head_size, head_size, block_d)
    q_scale = q_scale * scale / int8_max
    slot, word, channel = tl.arange(0, block), tl.arange(0, block_d // 4), tl.arange(0, block_d)
    offset = row * row_stride + head * head_stride + slot[:, None] * position_stride
    keys_at, values_at = keys_ptr + offset + word[None, :], values_ptr + 4 * offset + channel[None, :]
    scales_at = scales_ptr + row * scales_row_stride + head * scales_head_stride + slot * scales_position_stride
    # As in `floatattention`; `biases` is what the bias of the values adds up to.
    top = tl.full([block], -1e30, dtype=tl.float32)
    total = tl.zeros([block], dtype=tl.float32)
    biases = tl.zeros([block], dtype=tl.float32)
    mixed = tl.zeros([block, block_d], dtype=tl.float32)
    for start in tl.range(begin, end, block, num_stages=blocks_in_flight):
        is_read = start + slot < end
        k = tl.load(
            keys_at + start * position_stride, mask=is_read[:, None] & (word < head_size // 4)[None, :], other=0
        )
        v = tl.load(
            values_at + 4 * start * position_stride, mask=is_read[:, None] & (channel < head_size)[None, :], other=0
        )
        both = tl.load(scales_at + start * scales_position_stride, mask=is_read, other=0)
        product = tl.sum(dot16(k, high[None, :], low[None, :], has_assembly), axis=1)
        score = tl.where(is_read, product.to(tl.float32) * (q_scale * lower_half(both)), float("-inf"))
        new_top = tl.maximum(top, score)
        kept, weight = tl.exp(top - new_top), tl.exp(score - new_top)
        total = total * kept + weight
        weight *= upper_half(both)
        biases = biases * kept + weight
        mixed = mixed * kept[:, None] + weight[:, None] * to_biased_float32(v, has_assembly)
        top = new_top
    mixed = (mixed - BIAS * biases[:, None]) / int8_max
    store_share(top, total, mixed, query, split, out_ptr, parts_ptr, sums_ptr, num_splits, head_size, block_d)


@triton.jit  # type: ignore[untyped-decorator]
def _round_query(
    q_at: tl.tensor, head_size: tl.constexpr, block_d: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Round a query to sixteen bits, of which its error does not show beside the eight of a key.

    Returns:
        [D / 4] int32, the upper halves, four to a number; the lower halves, signed too; the scale.
    """
    byte = tl.arange(0, 4)[None, :]
    channel = tl.arange(0, block_d // 4)[:, None] * 4 + byte
    q = tl.load(q_at + channel, mask=channel < head_size, other=0.0).to(tl.float32)
    absmax = tl.maximum(tl.max(tl.max(magnitude(q), axis=1), axis=0), 1e-30)
    # To whole numbers of at most 127 * 256, half to even: beside 1.5 * 2**23 there are no bits below 1.
    rounded = ((q * (32512.0 / absmax) + 12582912.0) - 12582912.0).to(tl.int32)
    high = (rounded + 128) >> 8
    low = rounded - (high << 8)
    shift = 8 * byte
    return tl.sum((high & 255) << shift, axis=1), tl.sum((low & 255) << shift, axis=1), absmax / 32512.0
