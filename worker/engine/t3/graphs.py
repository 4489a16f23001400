"""One CUDA graph for each shape of a decode step; without CUDA the step is simply run.

A step is some 300 kernels of a few microseconds each: launched one by one, the host would be the bottleneck. Knows
nothing of what a step computes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.lanes import StepShape

#: Runs before a capture: the first compiles Triton kernels and makes the handles of cuBLAS, which must not be captured.
_NUM_WARM_UPS: Final = 2


class StepGraphs:
    """Replays a step in the shape that is asked for."""

    def __init__(self, step: Callable[[StepShape], None]) -> None:
        """Take the step; it must read and write the same memory at each call."""
        self._step = step
        self._graphs: dict[StepShape, torch.cuda.CUDAGraph] = {}

    def capture(self, shapes: Iterable[StepShape]) -> None:
        """Run and capture a step of each shape, on the current stream, which must not be the default one.

        Args:
            shapes: the largest first: all share one pool of memory, as no two run at the same time.
        """
        pool = torch.cuda.graph_pool_handle()
        # What the collector frees during a capture, an event say, can break it.
        gc.collect()
        gc.disable()
        try:
            for shape in shapes:
                self._graphs[shape] = self._capture(shape, pool)
        finally:
            gc.enable()

    def _capture(self, shape: StepShape, pool: Any) -> torch.cuda.CUDAGraph:
        for _ in range(_NUM_WARM_UPS):
            self._step(shape)
        # A step that still runs does not disturb a capture, but one that fails should fail here.
        torch.cuda.current_stream().synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate and launch meanwhile, on streams of theirs.
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            self._step(shape)
        finally:
            graph.capture_end()
        return graph

    def forget(self) -> None:
        """Run every step without a graph from here on."""
        self._graphs.clear()

    def run(self, shape: StepShape) -> None:
        """Run a step: from its graph if there is one. Launches only."""
        graph = self._graphs.get(shape)
        if graph is None:
            self._step(shape)
        else:
            graph.replay()
