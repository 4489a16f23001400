"""Times attention to the cache beside torch's own."""

from __future__ import annotations

import json
import math
from typing import Any

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: N812, TID253

from bench.kernels.search import CONTEXTS, plans
from bench.kernels.timing import COLD_BYTES, HEAD_SIZE, HEADS, LAYERS, POSITIONS, attempt, fastest, microseconds, say
from worker.engine.kernels.fused import attention


def bench_attention(results: dict[str, Any], *, tune: bool) -> None:
    """Time attention for numbers of rows and positions."""
    for num_rows, length in CONTEXTS:
        entry = results[f"rows {num_rows} length {length}"] = attention_times(num_rows, length, tune=tune)
        say(f"  rows {num_rows} length {length}:", json.dumps(entry))


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
    times_mixed = {plan: attempt(measure, mixed, plan) for plan in times}
    best = min(times, key=times.__getitem__)
    exact = caches[..., :length, :].contiguous()
    asked = q.unsqueeze(2)
    return {
        "default_us": times[default],
        "best_us": times[best],
        "torch_us": attempt(microseconds, [lambda c=c: F.scaled_dot_product_attention(asked, *c) for c in exact]),
        "tb_s": size / times[best] / 1e6,
        "default_mixed_us": times_mixed[default],
        "best_mixed_us": min(times_mixed.values()),
        "mixed_mean_length": mixed.float().mean().item(),
        "fastest": fastest(times),
        "fastest_mixed": fastest(times_mixed),
    }
