"""Attention of many queries to rows of the KV cache, on CUDA: all texts of a prefill in one launch.

Knows nothing of how the cache is filled, or what the texts say. It is a small part of a prefill; what counts is that
it takes rows of any lengths without padding, and reads the cache as it is.
"""

from __future__ import annotations

import math
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.conversion import HAS_ASSEMBLY, lower_half, to_float, upper_half
from worker.engine.kernels.kvlayer import KVLayer
from worker.engine.kernels.packedlinear import INT8_MAX
from worker.engine.kernels.reference import PREFILL_BLOCK

#: Positions that a program reads at once.
_COLUMNS: Final = 64


def prefill_attention(q: torch.Tensor, layer: KVLayer, rows: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """See `worker.engine.kernels.operations`."""
    num_entries, num_heads, head_size = q.shape
    assert num_entries % PREFILL_BLOCK == 0
    is_rounded = layer.absmax is not None
    # Both scales of a position as one number.
    scales = layer.keys if layer.absmax is None else layer.absmax.view(torch.int32)
    out = torch.empty_like(q)
    _attend_block[(num_entries // PREFILL_BLOCK, num_heads)](
        q,
        layer.keys,
        layer.values,
        scales,
        rows,
        positions,
        out,
        *layer.keys.stride()[:3],
        *scales.stride()[:3],
        layer.keys.shape[2],
        1.0 / math.sqrt(head_size) / (INT8_MAX if is_rounded else 1),
        is_rounded=is_rounded,
        int8_max=INT8_MAX,
        has_assembly=HAS_ASSEMBLY and q.dtype == torch.float16,
        num_heads=num_heads,
        head_size=head_size,
        block_m=PREFILL_BLOCK,
        block_n=_COLUMNS,
        # Tensor cores take no fewer.
        block_d=max(16, triton.next_power_of_2(head_size)),
        num_warps=4,
        num_stages=2,
    )
    return out


# One compilation for any number of positions of a row.
@triton.jit(do_not_specialize=["num_positions"])  # type: ignore[untyped-decorator]
def _attend_block(
    q_ptr: tl.tensor,
    keys_ptr: tl.tensor,
    values_ptr: tl.tensor,
    scales_ptr: tl.tensor,
    rows_ptr: tl.tensor,
    positions_ptr: tl.tensor,
    out_ptr: tl.tensor,
    row_stride: tl.tensor,
    head_stride: tl.tensor,
    position_stride: tl.tensor,
    scales_row_stride: tl.tensor,
    scales_head_stride: tl.tensor,
    scales_position_stride: tl.tensor,
    num_positions: tl.tensor,
    scale: tl.tensor,
    is_rounded: tl.constexpr,
    int8_max: tl.constexpr,
    has_assembly: tl.constexpr,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    block_m: tl.constexpr,
    block_n: tl.constexpr,
    block_d: tl.constexpr,
) -> None:
    # The whole block is of the row of its first entry, and its positions follow that of it.
    first_entry, head = tl.program_id(0) * block_m, tl.program_id(1)
    row = tl.load(rows_ptr + first_entry).to(tl.int64)
    first = tl.load(positions_ptr + first_entry).to(tl.int32)
    position = first + tl.arange(0, block_m)
    end = tl.minimum(first + block_m, num_positions)

    entry, channel = first_entry + tl.arange(0, block_m), tl.arange(0, block_d)
    is_channel = (channel < head_size)[None, :]
    at = (entry[:, None] * num_heads + head) * head_size + channel[None, :]
    q = tl.load(q_ptr + at, mask=is_channel, other=0.0)
    column = tl.arange(0, block_n)
    offset = row * row_stride + head * head_stride + column[:, None] * position_stride + channel[None, :]
    scales_at = scales_ptr + row * scales_row_stride + head * scales_head_stride + column * scales_position_stride
    top = tl.full([block_m], -1e30, dtype=tl.float32)
    total = tl.zeros([block_m], dtype=tl.float32)
    mixed = tl.zeros([block_m, block_d], dtype=tl.float32)
    for begin in range(0, end, block_n):
        is_read = begin + column < end
        mask = is_read[:, None] & is_channel
        k = tl.load(keys_ptr + offset + begin * position_stride, mask=mask, other=0)
        v = tl.load(values_ptr + offset + begin * position_stride, mask=mask, other=0)
        if is_rounded:
            both = tl.load(scales_at + begin * scales_position_stride, mask=is_read, other=0)
            k, v = to_float(k, q.dtype, has_assembly), to_float(v, q.dtype, has_assembly)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        if is_rounded:
            score *= lower_half(both)[None, :]
        is_seen = (begin + column)[None, :] <= position[:, None]
        score = tl.where(is_seen & is_read[None, :], score, float("-inf"))
        new_top = tl.maximum(top, tl.max(score, axis=1))
        kept, weight = tl.exp(top - new_top), tl.exp(score - new_top[:, None])
        total = total * kept + tl.sum(weight, axis=1)
        if is_rounded:
            weight *= upper_half(both)[None, :]
        mixed = tl.dot(weight.to(q.dtype), v, mixed * kept[:, None], input_precision="ieee")
        top = new_top
    mixed = mixed / total[:, None]
    if is_rounded:
        mixed = mixed / int8_max
    tl.store(out_ptr + at, mixed.to(out_ptr.dtype.element_ty), mask=is_channel)
