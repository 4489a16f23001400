"""Times the int8 product beside those of cuBLAS and bitsandbytes, and makes the table of tiles anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: N812, TID253

from bench.kernels import roundedmatmul
from bench.kernels.search import SHAPES, candidates, multiply, rounded_candidates
from bench.kernels.timing import COLD_BYTES, attempt, fastest, microseconds, say
from worker.engine.kernels import reference
from worker.engine.kernels.fused import matmul
from worker.engine.kernels.fused.tiles import Tile, gated_tile_for, tile_for

#: Of the norm of a product: the last rounding to half precision, with a gate twice.
MAX_ERROR = 1e-3


def bench_products(results: dict[str, Any], all_rows: Sequence[int], *, tune: bool) -> None:
    """Time the int8 product for each shape and these numbers of rows, beside cuBLAS and bitsandbytes without gate."""
    try:
        import bitsandbytes  # noqa: F401 - registers its operations
    except ImportError:
        say("  bitsandbytes is not installed")
    for is_gated, shape in SHAPES:
        table = {}
        for num_rows in all_rows:
            table[num_rows], entry = product_times(num_rows, shape, is_gated=is_gated, tune=tune)
            name = f"{'gated ' if is_gated else ''}{shape[0]}x{shape[1]} rows {num_rows}"
            results[name] = entry
            shown = " ".join(f"{key} {value:.4g}" for key, value in entry.items() if isinstance(value, float))
            say(f"  {name}: {shown} {astuple(table[num_rows])}")
        if tune:
            say(f"    {shape}: {{")
            for num_rows, tile in table.items():
                say(f"        {num_rows}: Tile{astuple(tile)},")
            say("    },")


def product_times(num_rows: int, shape: tuple[int, int], *, is_gated: bool, tune: bool) -> tuple[Tile, dict[str, Any]]:
    """Time one product; `tune` tries all candidates. Returns the best tile and the figures."""
    num_outputs, num_inputs = shape[0] * (2 if is_gated else 1), shape[1]
    count = max(8, math.ceil(COLD_BYTES / (num_outputs * num_inputs)))
    weights = torch.randint(-127, 128, (count, num_outputs, num_inputs), device="cuda", dtype=torch.int8)
    wide = weights.to(torch.bfloat16)
    absmax = torch.rand(num_outputs, device="cuda") + 0.5
    x = torch.randn(num_rows, num_inputs, device="cuda", dtype=torch.float16) / num_inputs**0.5
    wide_x = x.bfloat16()

    def measure(function: Callable[..., Any], *extra: Any) -> float:
        return microseconds([lambda w=w: function(x, w, absmax, *extra) for w in weights])

    default = (gated_tile_for if is_gated else tile_for)(num_rows, *shape)
    tiles = {default, *(candidates(num_rows, *shape, is_gated=is_gated) if tune else ())}
    times = {tile: attempt(measure, multiply(is_gated), tile) for tile in tiles}
    best = min(times, key=times.__getitem__)
    while not is_right(multiply(is_gated), x, weights[0], absmax, best):
        say(f"    WRONG: {best} {times.pop(best):.1f} us")
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


def bitsandbytes_product(x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor) -> torch.Tensor:
    """Multiply with its own kernels: round, multiply, dequantise."""
    operations = torch.ops.bitsandbytes
    rounded, row_absmax, _ = operations.int8_vectorwise_quant(x, 0.0)
    return operations.int8_scaled_mm(rounded, weight, row_absmax, absmax, dtype=torch.float16)


def is_right(
    function: Callable[..., Any], x: torch.Tensor, weight: torch.Tensor, absmax: torch.Tensor, *extra: Any
) -> bool:
    """Return whether a product equals that of torch, and does so every time."""
    wide = F.linear(x.float(), weight.float()) * (absmax / 127)
    expected = reference.silu_mul(wide) if function is matmul.linear_silu_mul else wide
    for _ in range(20):
        error = (function(x, weight, absmax, *extra).float() - expected).norm() / expected.norm()
        if not error.item() < MAX_ERROR:
            return False
    return True
