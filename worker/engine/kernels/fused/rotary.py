"""Rotary positions on CUDA, and the writing of keys and values into the cache in the same pass.

Knows nothing of what is read from the cache.
"""

from __future__ import annotations

from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused.conversion import magnitude, to_int8
from worker.engine.kernels.kvlayer import LEAST_ABSMAX, KVLayer
from worker.engine.kernels.packedlinear import INT8_MAX

#: Heads of a program: four programs an entry keep the GPU busy at a few entries, and are few enough at many.
HEADS: Final = 4


def rope_and_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    rows: torch.Tensor,
    positions: torch.Tensor,
    layer: KVLayer,
) -> torch.Tensor:
    """See `worker.engine.kernels.operations`."""
    _, num_heads, _, head_size = layer.keys.shape
    assert head_size & (head_size - 1) == 0, "a head's size is a power of two"
    num_entries = qkv.shape[0]
    q = qkv.new_empty(num_entries, num_heads, head_size)
    _rope_and_store[(num_entries, triton.cdiv(num_heads, HEADS))](
        qkv,
        cos,
        sin,
        rows,
        positions,
        q,
        layer.keys,
        layer.values,
        layer.absmax,
        *layer.keys.stride()[:3],
        *(layer.keys if layer.absmax is None else layer.absmax).stride()[:3],
        is_rounded=layer.absmax is not None,
        int8_max=INT8_MAX,
        least_absmax=LEAST_ABSMAX,
        num_heads=num_heads,
        head_size=head_size,
        heads=HEADS,
        num_warps=1,
    )
    return q


@triton.jit  # type: ignore[untyped-decorator]
def _rope_and_store(
    qkv_ptr: tl.tensor,
    cos_ptr: tl.tensor,
    sin_ptr: tl.tensor,
    rows_ptr: tl.tensor,
    positions_ptr: tl.tensor,
    q_ptr: tl.tensor,
    keys_ptr: tl.tensor,
    values_ptr: tl.tensor,
    absmax_ptr: tl.tensor,
    row_stride: tl.tensor,
    head_stride: tl.tensor,
    position_stride: tl.tensor,
    absmax_row_stride: tl.tensor,
    absmax_head_stride: tl.tensor,
    absmax_position_stride: tl.tensor,
    is_rounded: tl.constexpr,
    int8_max: tl.constexpr,
    least_absmax: tl.constexpr,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    heads: tl.constexpr,
) -> None:
    half: tl.constexpr = head_size // 2
    width: tl.constexpr = num_heads * head_size
    entry = tl.program_id(0)
    head = tl.program_id(1) * heads + tl.arange(0, heads)[:, None]
    channel = tl.arange(0, half)[None, :]
    is_inside = (head < num_heads) & (channel < half)
    position = tl.load(positions_ptr + entry)
    cos = tl.load(cos_ptr + position * head_size + channel)
    sin = tl.load(sin_ptr + position * head_size + channel)

    source = qkv_ptr + entry * 3 * width + head * head_size + channel
    target = q_ptr + entry * width + head * head_size + channel
    first, second = _load_halves(source, is_inside, half)
    _store_halves(target, first * cos - second * sin, second * cos + first * sin, is_inside, half)
    # 64 bits: all layers' caches together have more than 2**31 numbers.
    row = tl.load(rows_ptr + entry).to(tl.int64)
    offset = row * row_stride + head * head_stride + position * position_stride + channel
    first, second = _load_halves(source + width, is_inside, half)
    first, second = first * cos - second * sin, second * cos + first * sin
    v_first, v_second = _load_halves(source + 2 * width, is_inside, half)
    if is_rounded:
        at = row * absmax_row_stride + head * absmax_head_stride + position * absmax_position_stride
        absmax_at = absmax_ptr + at
        is_head = head < num_heads
        first, second = _round(first, second, absmax_at, is_head, int8_max, least_absmax)
        v_first, v_second = _round(v_first, v_second, absmax_at + 1, is_head, int8_max, least_absmax)
    _store_halves(keys_ptr + offset, first, second, is_inside, half)
    _store_halves(values_ptr + offset, v_first, v_second, is_inside, half)


@triton.jit  # type: ignore[untyped-decorator]
def _load_halves(source: tl.tensor, is_inside: tl.tensor, half: tl.constexpr) -> tuple[tl.tensor, tl.tensor]:
    first = tl.load(source, mask=is_inside, other=0.0).to(tl.float32)
    return first, tl.load(source + half, mask=is_inside, other=0.0).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _store_halves(
    target: tl.tensor, first: tl.tensor, second: tl.tensor, is_inside: tl.tensor, half: tl.constexpr
) -> None:
    tl.store(target, first.to(target.dtype.element_ty), mask=is_inside)
    tl.store(target + half, second.to(target.dtype.element_ty), mask=is_inside)


@triton.jit  # type: ignore[untyped-decorator]
def _round(
    first: tl.tensor,
    second: tl.tensor,
    absmax_at: tl.tensor,
    is_head: tl.tensor,
    int8_max: tl.constexpr,
    least_absmax: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Round both halves of each head [heads, D / 2] to int8, and store the largest magnitude of the whole."""
    absmax = tl.max(tl.maximum(magnitude(first), magnitude(second)), axis=1, keep_dims=True)
    # Rounded first: the scale that is divided by is the one that is read.
    absmax = tl.maximum(absmax, least_absmax).to(tl.float16)
    tl.store(absmax_at, absmax, mask=is_head)
    scale = int8_max / absmax.to(tl.float32)
    return to_int8(first * scale), to_int8(second * scale)
