"""Attention over tiles of packed rows, in Triton; the tiles say which sequence they belong to.

FlashAttention (Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691): scores never leave the chip. Against
torch's own kernel for sequences of many lengths it starts no program for rows that no sequence has, reads query, key
and value where the projection left them, and keeps no sums for a backward pass.
"""

from __future__ import annotations

from typing import Final

import torch  # noqa: TID253 - loaded on a GPU only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

_LOG2_E: Final = 1.4426950408889634


@torch.library.custom_op("chatterqueue::attend_tiles", mutates_args=())
def attend_tiles(
    joined: torch.Tensor,
    tiles: torch.Tensor,
    tile_rows: int,
    block_keys: int,
    num_warps: int,
    num_stages: int,
) -> torch.Tensor:
    """Attend within sequences; an operation of torch, so that a compiled section leaves it as it is.

    Args:
        joined: [R, 3, H, D], query, key and value, contiguous.
        tiles: [tiles, 3] int32 on the device, see `worker.engine.s3gen.attention`.
        tile_rows: see `worker.engine.s3gen.attention.TileShape`, as the three below.
        block_keys: see there.
        num_warps: see there.
        num_stages: see there.

    Returns:
        [R, H, D]; rows of no sequence are not written.
    """
    num_rows, _, num_heads, head_size = joined.shape
    attended = torch.empty(num_rows, num_heads, head_size, device=joined.device, dtype=joined.dtype)
    # Tiles of one head run side by side: they share its keys and values in the L2 cache.
    _attend[(tiles.shape[0], num_heads)](
        joined,
        attended,
        tiles,
        head_size**-0.5 * _LOG2_E,
        num_heads=num_heads,
        head_size=head_size,
        tile_rows=tile_rows,
        block_keys=block_keys,
        num_warps=num_warps,
        num_stages=num_stages,
    )
    return attended


@attend_tiles.register_fake
def _shape_of_attended(
    joined: torch.Tensor, tiles: torch.Tensor, tile_rows: int, block_keys: int, num_warps: int, num_stages: int
) -> torch.Tensor:
    return torch.empty_like(joined[:, 0], memory_format=torch.contiguous_format)


@triton.jit  # type: ignore[untyped-decorator]
def _attend(
    joined: tl.tensor,
    attended: tl.tensor,
    tiles: tl.tensor,
    scale: tl.tensor,
    num_heads: tl.constexpr,
    head_size: tl.constexpr,
    tile_rows: tl.constexpr,
    block_keys: tl.constexpr,
) -> None:
    tile = tl.program_id(0)
    head = tl.program_id(1)
    row = tl.load(tiles + 3 * tile)
    start = tl.load(tiles + 3 * tile + 1)
    end = tl.load(tiles + 3 * tile + 2)
    if row < end:
        stride: tl.constexpr = 3 * num_heads * head_size
        rows = row + tl.arange(0, tile_rows)
        sizes = tl.arange(0, head_size)
        offsets = rows.to(tl.int64)[:, None] * stride + head * head_size + sizes[None, :]
        query = tl.load(joined + offsets, mask=rows[:, None] < end, other=0.0)
        keys = joined + (num_heads + head) * head_size
        values = keys + num_heads * head_size

        highest = tl.full([tile_rows], float("-inf"), tl.float32)
        weight_sum = tl.zeros([tile_rows], tl.float32)
        total = tl.zeros([tile_rows, head_size], tl.float32)
        last = start + (end - start) // block_keys * block_keys
        for key_row in tl.range(start, last, block_keys):
            highest, weight_sum, total = _look_at(
                query,
                keys,
                values,
                key_row,
                end,
                scale,
                highest,
                weight_sum,
                total,
                stride,
                head_size,
                block_keys,
                False,
            )
        if last < end:
            highest, weight_sum, total = _look_at(
                query, keys, values, last, end, scale, highest, weight_sum, total, stride, head_size, block_keys, True
            )
        total = total / weight_sum[:, None]
        out_offsets = rows.to(tl.int64)[:, None] * (num_heads * head_size) + head * head_size + sizes[None, :]
        tl.store(attended + out_offsets, total.to(attended.dtype.element_ty), mask=rows[:, None] < end)


@triton.jit  # type: ignore[untyped-decorator]
def _look_at(
    query: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    key_row: tl.tensor,
    end: tl.tensor,
    scale: tl.tensor,
    highest: tl.tensor,
    weight_sum: tl.tensor,
    total: tl.tensor,
    stride: tl.constexpr,
    head_size: tl.constexpr,
    block_keys: tl.constexpr,
    is_last: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Take one block of keys into the running softmax; only the last block may be cut off."""
    rows = key_row + tl.arange(0, block_keys)
    sizes = tl.arange(0, head_size)
    offsets = rows.to(tl.int64) * stride
    if is_last:
        key = tl.load(keys + offsets[None, :] + sizes[:, None], mask=rows[None, :] < end, other=0.0)
    else:
        key = tl.load(keys + offsets[None, :] + sizes[:, None])
    scores = tl.dot(query, key)
    if is_last:
        scores = tl.where(rows[None, :] < end, scores, float("-inf"))
    new_highest = tl.maximum(highest, tl.max(scores, 1) * scale)
    weights = tl.math.exp2(scores * scale - new_highest[:, None])
    fading = tl.math.exp2(highest - new_highest)
    weight_sum = weight_sum * fading + tl.sum(weights, 1)
    total = total * fading[:, None]
    if is_last:
        value = tl.load(values + offsets[:, None] + sizes[None, :], mask=rows[:, None] < end, other=0.0)
    else:
        value = tl.load(values + offsets[:, None] + sizes[None, :])
    total = tl.dot(weights.to(value.dtype), value, total)
    return new_highest, weight_sum, total
