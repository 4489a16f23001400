"""Rotary positions on CUDA, and the writing of keys and values into the cache in the same pass.

Knows nothing of what is read from the cache.
"""

from __future__ import annotations

from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from worker.engine.kernels.fused import launching

#: Heads of a program: four programs an entry keep the GPU busy at a few entries, and are few enough at many.
HEADS: Final = 4


def rope_and_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    rows: torch.Tensor,
    positions: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
) -> torch.Tensor:
    """See `worker.engine.kernels.operations`."""
    _, num_heads, _, head_size = k_cache.shape
    assert head_size & (head_size - 1) == 0, "a head's size is a power of two"
    assert k_cache.stride() == v_cache.stride()
    assert k_cache.stride(3) == 1
    num_entries = qkv.shape[0]
    q = qkv.new_empty(num_entries, num_heads, head_size)
    _rope_and_store[(num_entries, triton.cdiv(num_heads, HEADS))](
        qkv,
        cos,
        sin,
        rows,
        positions,
        q,
        k_cache,
        v_cache,
        *k_cache.stride()[:3],
        num_heads=num_heads,
        head_size=head_size,
        heads=HEADS,
        is_overlapped=launching.is_overlapped(qkv),
        launch_pdl=launching.is_overlapped(qkv),
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
    k_cache_ptr: tl.tensor,
    v_cache_ptr: tl.tensor,
    row_stride: tl.tensor,
    head_stride: tl.tensor,
    position_stride: tl.tensor,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    heads: tl.constexpr,
    is_overlapped: tl.constexpr,
) -> None:
    if is_overlapped:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
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
    _rotate(source, target, cos, sin, is_inside, half)
    # 64 bits: all layers' caches together have more than 2**31 numbers.
    row = tl.load(rows_ptr + entry).to(tl.int64)
    offset = row * row_stride + head * head_stride + position * position_stride + channel
    _rotate(source + width, k_cache_ptr + offset, cos, sin, is_inside, half)
    for part in tl.static_range(2):
        value = tl.load(source + 2 * width + part * half, mask=is_inside, other=0.0)
        tl.store(v_cache_ptr + offset + part * half, value, mask=is_inside)


@triton.jit  # type: ignore[untyped-decorator]
def _rotate(
    source: tl.tensor, target: tl.tensor, cos: tl.tensor, sin: tl.tensor, is_inside: tl.tensor, half: tl.constexpr
) -> None:
    first = tl.load(source, mask=is_inside, other=0.0).to(tl.float32)
    second = tl.load(source + half, mask=is_inside, other=0.0).to(tl.float32)
    tl.store(target, (first * cos - second * sin).to(target.dtype.element_ty), mask=is_inside)
    tl.store(target + half, (second * cos + first * sin).to(target.dtype.element_ty), mask=is_inside)
