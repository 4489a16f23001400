"""How a kernel is timed: in a replayed CUDA graph, over data that exceeds the L2 cache, as in a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import torch  # noqa: TID253

#: More than the 60 MB of L2 of an H200.
COLD_BYTES = 110_000_000
#: The sizes of T3.
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
