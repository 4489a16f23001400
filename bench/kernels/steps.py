"""Times a whole step of random weights, and the operations between its products."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import torch  # noqa: TID253

from bench.kernels.search import random_layers
from bench.kernels.timing import (
    HEAD_SIZE,
    HIDDEN,
    LAYERS,
    MLP,
    POSITIONS,
    VOCABULARY,
    attempt,
    microseconds,
    say,
)
from worker.engine import kernels
from worker.engine.kernels import PackedLinear
from worker.engine.kernels.fused import norm


def bench_step(results: dict[str, Any]) -> None:
    """Time all layers of a step on a context of 400 positions, and the head."""
    num_weights = (4 * HIDDEN * HIDDEN + 3 * HIDDEN * MLP) * LAYERS + VOCABULARY * HIDDEN
    for precision, num_rows in product(("int8", "bf16"), (2, 4, 16, 64, 128, 256, 512)):
        number_bytes = 1 if precision == "int8" else 2
        size = (num_weights + LAYERS * num_rows * 2 * HIDDEN * 400) * number_bytes
        us = attempt(step_time, num_rows, precision)
        results[f"{precision} rows {num_rows}"] = {"us": us}
        say(f"  {precision} rows {num_rows}: {us:.0f} us, {size / us / 1e6:.2f} TB/s")


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
    caches = random_layers(LAYERS, num_rows, 448, is_rounded=precision == "int8", dtype=dtype)
    table = torch.randn(POSITIONS, HEAD_SIZE, device="cuda")
    rows, positions = torch.arange(num_rows, device="cuda"), torch.full((num_rows,), 399, device="cuda")
    lengths, hidden = positions + 1, torch.randn(num_rows, HIDDEN, **options)

    def step() -> torch.Tensor:
        normed, residual = kernels.rms_norm(hidden, scale, 1e-5), hidden
        for (qkv, output, gate_up, down), cache in zip(layers, caches, strict=True):
            q = kernels.rope_and_store(kernels.linear(normed, qkv), table, table, rows, positions, cache)
            attended = kernels.decode_attention(q, cache, rows, lengths).flatten(1)
            normed, residual = kernels.linear_add_rms_norm(attended, output, residual, scale, 1e-5)
            lifted = kernels.linear_silu_mul(normed, gate_up)
            normed, residual = kernels.linear_add_rms_norm(lifted, down, residual, scale, 1e-5)
        return kernels.linear(normed, head)

    return microseconds([step])


def bench_small(results: dict[str, Any]) -> None:
    """Time the operations between the products for numbers of rows."""
    for num_rows in (2, 64, 256, 512):
        entry = results[f"rows {num_rows}"] = small_times(num_rows)
        say(f"  rows {num_rows}:", json.dumps({name: round(us, 2) for name, us in entry.items()}))


def small_times(num_rows: int) -> dict[str, float]:
    """Time the operations between the products; their data is in the L2 cache, as in a step."""
    options: dict[str, Any] = {"device": "cuda", "dtype": torch.float16}
    x, weight = torch.randn(num_rows, HIDDEN, **options), torch.ones(HIDDEN, **options)
    parts = torch.randn(4, num_rows, HIDDEN, device="cuda")
    gate_up, qkv = torch.randn(num_rows, 2 * MLP, **options), torch.randn(num_rows, 3 * HIDDEN, **options)
    table = torch.randn(POSITIONS, HEAD_SIZE, device="cuda")
    rows = torch.arange(num_rows, device="cuda")
    (half,), (rounded,) = (random_layers(1, num_rows, POSITIONS, is_rounded=flag) for flag in (False, True))
    calls: dict[str, Callable[[], Any]] = {
        "rms_norm": lambda: kernels.rms_norm(x, weight, 1e-5),
        "add_rms_norm": lambda: kernels.add_rms_norm(x, x, weight, 1e-5),
        "add_rms_norm of 4 splits": lambda: norm.add_rms_norm(parts, x, weight, 1e-5),
        "silu_mul": lambda: kernels.silu_mul(gate_up),
        "rope_and_store": lambda: kernels.rope_and_store(qkv, table, table, rows, rows, half),
        "rope_and_store, rounded": lambda: kernels.rope_and_store(qkv, table, table, rows, rows, rounded),
    }
    return {name: attempt(microseconds, [call] * 50) for name, call in calls.items()}
