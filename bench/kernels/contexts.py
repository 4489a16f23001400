"""Times attention to the cache beside torch's own."""

from __future__ import annotations

import json
import math
from itertools import product
from typing import Any

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: N812, TID253

from bench.kernels.search import CONTEXTS, plans, random_layers
from bench.kernels.timing import COLD_BYTES, HEAD_SIZE, HEADS, LAYERS, POSITIONS, attempt, fastest, microseconds, say
from worker.engine.kernels import KVLayer
from worker.engine.kernels.fused import attention


def bench_attention(results: dict[str, Any], *, tune: bool) -> None:
    """Time attention for numbers of rows and positions, first to a cache of eight bits and then of sixteen."""
    for is_rounded, (num_rows, length) in product((True, False), CONTEXTS):
        name = f"{'int8' if is_rounded else 'half'} rows {num_rows} length {length}"
        entry = results[name] = attention_times(num_rows, length, is_rounded=is_rounded, tune=tune)
        say(f"  {name}:", json.dumps(entry))


def attention_times(num_rows: int, length: int, *, is_rounded: bool, tune: bool) -> dict[str, Any]:
    """Time attention of equal and of mixed lengths, beside torch's own on a cache of just that length."""
    # A number of eight bits has its part of a scale of sixteen.
    size = 2 * num_rows * HEADS * length * (HEAD_SIZE + 2 if is_rounded else 2 * HEAD_SIZE)
    num_layers = min(LAYERS, max(2, math.ceil(COLD_BYTES / size)))
    layers = random_layers(num_layers, num_rows, POSITIONS, is_rounded=is_rounded)
    q = torch.randn(num_rows, HEADS, HEAD_SIZE, device="cuda", dtype=torch.float16)
    rows = torch.randperm(num_rows, device="cuda")
    equal = torch.full((num_rows,), length, device="cuda")
    mixed = torch.randint(1, 2 * length, (num_rows,), device="cuda").clamp(max=POSITIONS)

    def measure(lengths: torch.Tensor, plan: attention.Plan) -> float:
        return microseconds(
            [lambda each=each: attention.decode_attention(q, each, rows, lengths, plan) for each in layers]
        )

    default = attention.plan_for(num_rows * HEADS, POSITIONS, is_rounded=is_rounded)
    tried = plans(num_rows * HEADS, is_rounded=is_rounded) if tune else ()
    times = {plan: attempt(measure, equal, plan) for plan in {default, *tried}}
    times_mixed = {plan: attempt(measure, mixed, plan) for plan in times}
    best = min(times, key=times.__getitem__)
    found = {
        "default_us": times[default],
        "best_us": times[best],
        "tb_s": size / times[best] / 1e6,
        "default_mixed_us": times_mixed[default],
        "best_mixed_us": min(times_mixed.values()),
        "mixed_mean_length": mixed.float().mean().item(),
        "fastest": fastest(times),
        "fastest_mixed": fastest(times_mixed),
    }
    if not is_rounded:
        found["torch_us"] = torch_time(q, layers, length)
    return found


def torch_time(q: torch.Tensor, layers: list[KVLayer], length: int) -> float:
    """Time torch's attention, given keys and values of just this length, one behind the other."""
    asked = q.unsqueeze(2)
    exact = [[part[..., :length, :].contiguous() for part in (each.keys, each.values)] for each in layers]
    return attempt(microseconds, [lambda pair=pair: F.scaled_dot_product_attention(asked, *pair) for pair in exact])
