"""The ways of cutting an operation into programs that are worth a try, and their compilation side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from itertools import product
from multiprocessing import get_context

import torch  # noqa: TID253

from bench.kernels.timing import HEAD_SIZE, HEADS, say
from worker.engine.kernels import KVLayer
from worker.engine.kernels.fused import attention, matmul
from worker.engine.kernels.fused.tiles import FEW_ROWS_WEIGHTS, GATED_TILES, MAX_FEW_ROWS, TILES, Tile, few_rows_tile

#: What is multiplied: whether it is gated, and outputs and inputs.
SHAPES = [(is_gated, shape) for is_gated, tiles in ((True, GATED_TILES), (False, TILES)) for shape in tiles]
NUM_ROWS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
#: Rows and positions that attention is measured with.
CONTEXTS = ((2, 400), (2, 1000), (16, 400), (64, 400), (128, 400), (256, 400), (512, 400))


def candidates(num_rows: int, num_outputs: int, num_inputs: int, *, is_gated: bool) -> Iterator[Tile]:
    """Yield the tiles worth a try."""
    num_sums = 2 if is_gated else 1
    if num_rows <= MAX_FEW_ROWS:
        block_k = few_rows_tile(num_inputs).block_k
        for weights, num_warps in product((FEW_ROWS_WEIGHTS // 2, FEW_ROWS_WEIGHTS, 2 * FEW_ROWS_WEIGHTS), (2, 4, 8)):
            if weights >= block_k * num_sums and 32 <= weights // (32 * num_warps) <= 128:
                yield Tile(0, weights // block_k // num_sums, block_k, num_warps=num_warps, num_stages=1)
    height = max(16, num_rows)
    blocks_m = [size for size in (16, 32, 64, 128, 256) if min(64, height // 2) <= size <= height]
    blocks_n = [32, 64] if height <= 32 else [64, 128]
    for block_m, block_n, block_k, stages in product(blocks_m, blocks_n, (64, 128, 256), (3, 4, 6)):
        num_bytes = stages * block_k * (num_sums * block_n + 2 * block_m)
        if num_bytes > 200_000 or (block_k == 256 and height > 32) or (block_k == 64 and height <= 16):
            continue
        # Sums in more registers than a thread has.
        if num_sums * block_m * block_n > 128 * 128:
            continue
        for num_splits in (1,) if is_gated else (1, 2, 4, 8):
            programs = math.ceil(num_rows / block_m) * math.ceil(num_outputs / block_n) * num_splits
            if num_inputs % (block_k * num_splits) or (num_splits > 1 and programs > 600):
                continue
            if (num_splits == 1 and programs < 40) or (stages == 6 and num_inputs // num_splits // block_k < 6):
                continue
            yield Tile(block_m, block_n, block_k, num_splits, 4, stages)


def rounded_candidates(num_rows: int) -> Iterator[Tile]:
    """Yield the tiles worth a try for rounded activations."""
    for block_m, block_n, stages in product((64, 128), (64, 128), (3, 4)):
        if block_m <= num_rows:
            yield Tile(block_m, block_n, 128, 1, 4, stages)


def plans(num_queries: int, *, is_rounded: bool) -> Iterator[attention.Plan]:
    """Yield the plans of attention worth a try; of half as many bytes, blocks of twice as many positions too."""
    shapes = [(32, 2, 2), (32, 4, 3), (64, 4, 1), (64, 4, 2), (64, 4, 3), (128, 4, 1), (128, 8, 2), (64, 8, 1)]
    if is_rounded:
        shapes = [(32, 1, 2), (32, 2, 2), (32, 2, 3), (32, 4, 3), (64, 2, 2), (64, 2, 3)]
        shapes += [(64, 4, 1), (64, 4, 2), (64, 4, 3), (64, 4, 4), (128, 4, 2), (128, 4, 3), (128, 8, 2), (128, 8, 3)]
    for num_splits, shape in product((1, 2, 4, 8, 16, 32), shapes):
        if 128 <= num_queries * num_splits <= 16384:
            yield attention.Plan(num_splits, *shape)


def random_layers(
    num_layers: int, num_rows: int, num_positions: int, *, is_rounded: bool, dtype: torch.dtype = torch.float16
) -> list[KVLayer]:
    """Return layers of the size of T3's on the GPU, of floats or of eight bits."""
    shape = (num_layers, num_rows, HEADS, num_positions, HEAD_SIZE)
    if not is_rounded:
        keys, values = torch.randn(2, *shape, device="cuda", dtype=dtype)
        return [KVLayer(*pair) for pair in zip(keys, values, strict=True)]
    keys, values = torch.randint(-127, 128, (2, *shape), device="cuda", dtype=torch.int8)
    absmax = torch.rand(*shape[:-1], 2, device="cuda").half() + 0.5
    return [KVLayer(*triple) for triple in zip(keys, values, absmax, strict=True)]


def multiply(is_gated: bool) -> Callable[..., torch.Tensor]:
    """Return the product that is measured."""
    return matmul.linear_silu_mul if is_gated else matmul.linear


def compile_some(work: list[tuple[bool, Tile | attention.Plan]]) -> int:
    """Compile in a process of its own; what counts is Triton's cache of files.

    Args:
        work: whether a product is gated, and its tile; or whether keys and values are rounded, and the plan.
    """
    failed = 0
    q = torch.zeros(1, HEADS, HEAD_SIZE, device="cuda", dtype=torch.float16)
    rows = torch.zeros(1, device="cuda", dtype=torch.long)
    layers = {is_rounded: random_layers(1, 1, 16, is_rounded=is_rounded)[0] for is_rounded in (False, True)}
    for flag, item in work:
        try:
            if isinstance(item, attention.Plan):
                attention.decode_attention(q, layers[flag], rows, rows + 1, item)
                continue
            is_gated, tile = flag, item
            num_inputs = tile.block_k * tile.num_splits
            x = torch.zeros(16, num_inputs, device="cuda", dtype=torch.float16)
            weight = torch.zeros(32, num_inputs, device="cuda", dtype=torch.int8)
            multiply(is_gated)(x, weight, torch.ones(32, device="cuda"), tile)
        except Exception:  # noqa: BLE001 - too large a tile is not a candidate
            failed += 1
    return failed


def compile_all(all_rows: Sequence[int], *, has_products: bool, has_attention: bool) -> None:
    """Compile all candidates of what is measured, in as many processes as there are cores for it."""
    begun = time.perf_counter()
    tiles: set[tuple[bool, Tile | attention.Plan]] = {
        # Two splits or eight are one compilation.
        (is_gated, Tile(*astuple(tile)[:3], min(tile.num_splits, 2), *astuple(tile)[4:]))
        for is_gated, shape in SHAPES
        for num_rows in all_rows
        for tile in candidates(num_rows, *shape, is_gated=is_gated)
        if tile.block_m and has_products
    }
    all_plans = {
        (is_rounded, plan)
        for is_rounded in (False, True)
        for num_rows, _ in CONTEXTS
        for plan in plans(num_rows * HEADS, is_rounded=is_rounded)
        if has_attention
    }
    work = sorted(tiles | all_plans, key=str)
    with ProcessPoolExecutor(12, mp_context=get_context("spawn")) as pool:
        failed = sum(pool.map(compile_some, [work[i::24] for i in range(24)]))
    say(f"compiled {len(work)} kernels ({failed} failed) in {time.perf_counter() - begun:.1f} s")
