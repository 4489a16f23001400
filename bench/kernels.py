"""What the kernels of a decode step take on a GPU: `python -m bench.kernels [--tune] [--results FILE]`.

Prints as it goes: microseconds, TB/s and TFLOP/s of each operation beside cuBLAS, bitsandbytes and torch's attention
in the same run, and a whole step. `--tune` searches the tiles of the int8 product and prints the table of
`worker.engine.kernels.fused.tiles` anew. Every measurement is a replayed CUDA graph over weights or caches that
together exceed the L2 cache, as in a step.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: N812, TID253

from worker.engine import kernels
from worker.engine.kernels import PackedLinear
from worker.engine.kernels.fused import attention, launching, matmul, norm, roundedmatmul
from worker.engine.kernels.fused.tiles import (
    FEW_ROWS_WEIGHTS,
    GATED_TILES,
    MAX_FEW_ROWS,
    TILES,
    Tile,
    few_rows_tile,
    gated_tile_for,
    tile_for,
)

#: More than the 60 MB of L2 of an H200.
COLD_BYTES = 110_000_000
#: What is multiplied: whether it is gated, and outputs and inputs.
SHAPES = [(is_gated, shape) for is_gated, tiles in ((True, GATED_TILES), (False, TILES)) for shape in tiles]
NUM_ROWS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 2048)
#: Rows and positions that attention is measured with.
CONTEXTS = ((2, 400), (2, 1000), (16, 400), (64, 400), (128, 400), (256, 400), (512, 400))
LAYERS, HEADS, HEAD_SIZE, HIDDEN, MLP, VOCABULARY, POSITIONS = 30, 16, 64, 1024, 4096, 8194, 1088


def say(*words: Any) -> None:
    print(*words, flush=True)


def microseconds(calls: list[Callable[[], Any]], *, replays: int = 5) -> float:
    """Return the median time of a call, over replays of a graph of all of them."""
    calls[0]()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    graph.replay()
    times = []
    for _ in range(replays):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return 1000 * sorted(times)[replays // 2] / len(calls)


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
        num_warps = 8 if num_sums * block_m * block_n > 64 * 128 else 4
        for num_splits in (1,) if is_gated else (1, 2, 4, 8):
            programs = math.ceil(num_rows / block_m) * math.ceil(num_outputs / block_n) * num_splits
            if num_inputs % (block_k * num_splits) or (num_splits > 1 and programs > 600):
                continue
            if (num_splits == 1 and programs < 40) or (stages == 6 and num_inputs // num_splits // block_k < 6):
                continue
            yield Tile(block_m, block_n, block_k, num_splits, num_warps, stages)


def rounded_candidates(num_rows: int) -> Iterator[Tile]:
    for block_m, block_n, stages in product((64, 128), (64, 128, 256), (3, 4)):
        if block_m <= num_rows:
            yield Tile(block_m, block_n, 128, 1, 8 if block_m * block_n > 64 * 128 else 4, stages)


def compile_some(work: list[tuple[bool, Tile] | attention.Plan]) -> int:
    """Compile in a process of its own; what counts is Triton's cache of files."""
    failed = 0
    q = torch.zeros(1, HEADS, HEAD_SIZE, device="cuda", dtype=torch.float16)
    cache, row = torch.zeros(1, HEADS, 16, HEAD_SIZE, device="cuda", dtype=torch.float16), torch.tensor([0]).cuda()
    for item in work:
        try:
            if isinstance(item, attention.Plan):
                attention.decode_attention(q, cache, cache, row, row + 1, item)
                continue
            is_gated, tile = item
            num_inputs = tile.block_k * tile.num_splits
            x = torch.zeros(16, num_inputs, device="cuda", dtype=torch.float16)
            weight = torch.zeros(32, num_inputs, device="cuda", dtype=torch.int8)
            multiply(is_gated)(x, weight, torch.ones(32, device="cuda"), tile)
        except Exception:  # noqa: BLE001 - too large a tile is not a candidate
            failed += 1
    return failed


def compile_all() -> None:
    """Compile all candidates, in as many processes as there are cores for it."""
    begun = time.perf_counter()
    tiles = {
        # Two splits or eight are one compilation.
        (is_gated, Tile(*astuple(tile)[:3], min(tile.num_splits, 2), *astuple(tile)[4:]))
        for is_gated, shape in SHAPES
        for num_rows in NUM_ROWS
        for tile in candidates(num_rows, *shape, is_gated=is_gated)
        if tile.block_m
    }
    work = sorted({*tiles, *(plan for num_rows, _ in CONTEXTS for plan in plans(num_rows * HEADS))}, key=str)
    with ProcessPoolExecutor(12, mp_context=get_context("spawn")) as pool:
        failed = sum(pool.map(compile_some, [work[i::24] for i in range(24)]))
    say(f"compiled {len(work)} kernels ({failed} failed) in {time.perf_counter() - begun:.1f} s")


def multiply(is_gated: bool) -> Callable[..., torch.Tensor]:
    """Return the product that is measured."""
    return matmul.linear_silu_mul if is_gated else matmul.linear


def attempt(function: Callable[..., float], *arguments: Any) -> float:
    """Return a time, or infinity where a candidate does not run."""
    try:
        return function(*arguments)
    except Exception as exc:  # noqa: BLE001 - one failure must not lose the rest
        say(f"    {arguments[-1:]}: {type(exc).__name__} {str(exc)[:150]}")
        torch.cuda.synchronize()
        return math.inf


def fastest(times: dict[Any, float]) -> list[Any]:
    """Return the four best candidates with their times, for the record."""
    return [(round(us, 2), astuple(candidate)) for candidate, us in sorted(times.items(), key=lambda item: item[1])[:4]]


def bitsandbytes_product(x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor) -> torch.Tensor:
    """Multiply with its own kernels: round, multiply, dequantise."""
    operations = torch.ops.bitsandbytes
    rounded, row_absmax, _ = operations.int8_vectorwise_quant(x, 0.0)
    return operations.int8_scaled_mm(rounded, weight, row_absmax, absmax, dtype=torch.float16)


def product_times(num_rows: int, shape: tuple[int, int], *, is_gated: bool, tune: bool) -> tuple[Tile, dict[str, Any]]:
    """Time one product; `tune` tries all candidates. Returns the best tile and the figures."""
    num_outputs, num_inputs = shape[0] * (2 if is_gated else 1), shape[1]
    count = max(8, math.ceil(COLD_BYTES / (num_outputs * num_inputs)))
    weights = torch.randint(-127, 128, (count, num_outputs, num_inputs), device="cuda", dtype=torch.int8)
    wide = weights.to(torch.bfloat16)
    absmax = torch.rand(num_outputs, device="cuda") + 0.5
    x = torch.randn(num_rows, num_inputs, device="cuda", dtype=torch.float16)
    wide_x = x.bfloat16()

    def measure(function: Callable[..., Any], *extra: Any) -> float:
        return microseconds([lambda w=w: function(x, w, absmax, *extra) for w in weights])

    default = (gated_tile_for if is_gated else tile_for)(num_rows, *shape)
    tiles = {default, *(candidates(num_rows, *shape, is_gated=is_gated) if tune else ())}
    times = {tile: attempt(measure, multiply(is_gated), tile) for tile in tiles}
    best = min(times, key=times.__getitem__)
    tiles = rounded_candidates(num_rows) if tune and num_rows >= 64 else ()
    rounded = {tile: attempt(measure, roundedmatmul.linear, tile) for tile in tiles}
    return best, {
        "default_us": times[default],
        "best_us": times[best],
        "rounded_us": min(rounded.values(), default=None),
        "cublas_bf16_us": attempt(microseconds, [lambda w=w: F.linear(wide_x, w) for w in wide]),
        "bitsandbytes_us": attempt(measure, bitsandbytes_product),
        "tb_s": num_outputs * num_inputs / times[best] / 1e6,
        "tflop_s": 2 * num_rows * num_outputs * num_inputs / times[best] / 1e6,
        "fastest": fastest(times),
        "fastest_rounded": fastest(rounded),
    }


def bench_products(results: dict[str, Any], *, tune: bool) -> None:
    """Time the int8 product for each shape and number of rows, beside cuBLAS and bitsandbytes (without the gate)."""
    try:
        import bitsandbytes  # noqa: F401 - registers its operations
    except ImportError:
        say("  bitsandbytes is not installed")
    for is_gated, shape in SHAPES:
        table = {}
        for num_rows in NUM_ROWS:
            table[num_rows], entry = product_times(num_rows, shape, is_gated=is_gated, tune=tune)
            name = f"{'gated ' if is_gated else ''}{shape[0]}x{shape[1]} rows {num_rows}"
            results[name] = entry
            shown = " ".join(f"{key} {value:.4g}" for key, value in entry.items() if isinstance(value, float))
            say(f"  {name}: {shown} {astuple(table[num_rows])}")
        if tune:
            say(f"    {shape}:", {num_rows: astuple(tile) for num_rows, tile in table.items()})


def plans(num_queries: int) -> Iterator[attention.Plan]:
    """Yield the plans of attention worth a try."""
    shapes = ((64, 4, 1), (64, 4, 2), (64, 4, 3), (32, 4, 3), (32, 2, 2), (128, 8, 2), (128, 4, 1), (64, 8, 1))
    for num_splits, shape in product((1, 2, 4, 8, 16, 32), shapes):
        if 128 <= num_queries * num_splits <= 16384:
            yield attention.Plan(num_splits, *shape)


def attention_times(num_rows: int, length: int, *, tune: bool) -> dict[str, Any]:
    """Time attention of equal and of mixed lengths, beside torch's own on a cache of just that length."""
    size = 2 * num_rows * HEADS * length * HEAD_SIZE * 2
    num_layers = min(LAYERS, max(2, math.ceil(COLD_BYTES / size)))
    shape = (num_layers, 2, num_rows, HEADS, POSITIONS, HEAD_SIZE)
    caches = torch.randn(shape, device="cuda", dtype=torch.float16)
    q = torch.randn(num_rows, HEADS, HEAD_SIZE, device="cuda", dtype=torch.float16)
    rows = torch.randperm(num_rows, device="cuda")
    equal = torch.full((num_rows,), length, device="cuda")
    mixed = torch.randint(1, 2 * length, (num_rows,), device="cuda").clamp(max=POSITIONS)

    def measure(lengths: torch.Tensor, plan: attention.Plan) -> float:
        return microseconds([lambda c=c: attention.decode_attention(q, *c, rows, lengths, plan) for c in caches])

    default = attention.plan_for(num_rows * HEADS, POSITIONS)
    times = {plan: attempt(measure, equal, plan) for plan in {default, *(plans(num_rows * HEADS) if tune else ())}}
    best = min(times, key=times.__getitem__)
    exact = caches[..., :length, :].contiguous()
    asked = q.unsqueeze(2)
    return {
        "default_us": times[default],
        "best_us": times[best],
        "torch_us": attempt(microseconds, [lambda c=c: F.scaled_dot_product_attention(asked, *c) for c in exact]),
        "tb_s": size / times[best] / 1e6,
        "mixed_us": attempt(measure, mixed, best),
        "mixed_mean_length": mixed.float().mean().item(),
        "fastest": fastest(times),
    }


def bench_attention(results: dict[str, Any], *, tune: bool) -> None:
    """Time attention for numbers of rows and positions."""
    for num_rows, length in CONTEXTS:
        entry = results[f"rows {num_rows} length {length}"] = attention_times(num_rows, length, tune=tune)
        say(f"  rows {num_rows} length {length}:", json.dumps(entry))


def small_times(num_rows: int) -> dict[str, float]:
    """Time the operations between the products; their data is in the L2 cache, as in a step."""
    options: dict[str, Any] = {"device": "cuda", "dtype": torch.float16}
    x, weight = torch.randn(num_rows, HIDDEN, **options), torch.ones(HIDDEN, **options)
    parts = torch.randn(4, num_rows, HIDDEN, device="cuda")
    gate_up, qkv = torch.randn(num_rows, 2 * MLP, **options), torch.randn(num_rows, 3 * HIDDEN, **options)
    table = torch.randn(POSITIONS, HEAD_SIZE, device="cuda")
    rows = torch.arange(num_rows, device="cuda")
    caches = torch.zeros(2, num_rows, HEADS, POSITIONS, HEAD_SIZE, **options)
    calls: dict[str, Callable[[], Any]] = {
        "rms_norm": lambda: kernels.rms_norm(x, weight, 1e-5),
        "add_rms_norm": lambda: kernels.add_rms_norm(x, x, weight, 1e-5),
        "add_rms_norm of 4 splits": lambda: norm.add_rms_norm(parts, x, weight, 1e-5),
        "silu_mul": lambda: kernels.silu_mul(gate_up),
        "rope_and_store": lambda: kernels.rope_and_store(qkv, table, table, rows, rows, *caches),
    }
    return {name: attempt(microseconds, [call] * 50) for name, call in calls.items()}


def bench_small(results: dict[str, Any]) -> None:
    """Time the operations between the products for numbers of rows."""
    for num_rows in (2, 64, 256, 512):
        entry = results[f"rows {num_rows}"] = small_times(num_rows)
        say(f"  rows {num_rows}:", json.dumps({name: round(us, 2) for name, us in entry.items()}))


def bench_step(results: dict[str, Any]) -> None:
    """Time all layers of a step on a context of 400 positions, and the head, with and without overlapping kernels."""
    num_weights = (4 * HIDDEN * HIDDEN + 3 * HIDDEN * MLP) * LAYERS + VOCABULARY * HIDDEN
    is_overlapped = launching.is_overlapped
    for precision, num_rows in product(("int8", "bf16"), (2, 4, 16, 64, 128, 256, 512)):
        size = num_weights * (1 if precision == "int8" else 2) + LAYERS * num_rows * 2 * HIDDEN * 400 * 2
        times = []
        for overlaps in (False, True):
            launching.is_overlapped = lambda device, overlaps=overlaps: overlaps
            times.append(attempt(step_time, num_rows, precision))
        results[f"{precision} rows {num_rows}"] = {"us": times[0], "overlapped_us": times[1]}
        tb_s = size / min(times) / 1e6
        say(f"  {precision} rows {num_rows}: {times[0]:.0f} us, overlapped {times[1]:.0f} us, {tb_s:.2f} TB/s")
    launching.is_overlapped = is_overlapped


def step_time(num_rows: int, precision: str) -> float:
    """Time one step, weights and cache of all layers being their own."""
    dtype = torch.float16 if precision == "int8" else torch.bfloat16
    options: dict[str, Any] = {"device": "cuda", "dtype": dtype}

    def layer(num_outputs: int, num_inputs: int) -> PackedLinear:
        if precision == "bf16":
            return PackedLinear(torch.randn(num_outputs, num_inputs, **options) / num_inputs**0.5)
        weight = torch.randint(-127, 128, (num_outputs, num_inputs), device="cuda", dtype=torch.int8)
        return PackedLinear(weight, torch.full((num_outputs,), 1.7 / num_inputs**0.5, device="cuda"))

    shapes = ((3 * HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (2 * MLP, HIDDEN), (HIDDEN, MLP))
    layers = [[layer(*shape) for shape in shapes] for _ in range(LAYERS)]
    head, scale = layer(VOCABULARY, HIDDEN), torch.ones(HIDDEN, **options)
    caches = torch.randn(LAYERS, 2, num_rows, HEADS, 448, HEAD_SIZE, **options)
    table = torch.randn(POSITIONS, HEAD_SIZE, device="cuda")
    rows, positions = torch.arange(num_rows, device="cuda"), torch.full((num_rows,), 399, device="cuda")
    lengths, hidden = positions + 1, torch.randn(num_rows, HIDDEN, **options)

    def step() -> torch.Tensor:
        normed, residual = kernels.rms_norm(hidden, scale, 1e-5), hidden
        for (qkv, output, gate_up, down), (k, v) in zip(layers, caches, strict=True):
            q = kernels.rope_and_store(kernels.linear(normed, qkv), table, table, rows, positions, k, v)
            attended = kernels.decode_attention(q, k, v, rows, lengths).flatten(1)
            normed, residual = kernels.linear_add_rms_norm(attended, output, residual, scale, 1e-5)
            lifted = kernels.linear_silu_mul(normed, gate_up)
            normed, residual = kernels.linear_add_rms_norm(lifted, down, residual, scale, 1e-5)
        return kernels.linear(normed, head)

    return microseconds([step])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    results: dict[str, Any] = {"machine": torch.cuda.get_device_name(), "torch": torch.__version__}
    sections: dict[str, Callable[[dict[str, Any]], None]] = {
        "step": bench_step,
        "small": bench_small,
        "attention": lambda found: bench_attention(found, tune=arguments.tune),
        "products": lambda found: bench_products(found, tune=arguments.tune),
    }
    if arguments.tune:
        compile_all()
    for name, section in sections.items():
        begun = time.perf_counter()
        found = results.setdefault(name, {})
        try:
            section(found)
        except Exception:  # noqa: BLE001 - one failure must not lose the rest
            traceback.print_exc(file=sys.stdout)
        say(f"{name}: {time.perf_counter() - begun:.1f} s")
        if arguments.results:
            arguments.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
