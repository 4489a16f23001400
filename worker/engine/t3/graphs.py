"""One CUDA graph for each shape of a piece of work; without CUDA it is simply run.

A decode step or a prefill is some 300 kernels of a few microseconds each: launched one by one, the host would be the
bottleneck. Knows nothing of what they compute.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, TypeVar

import torch  # noqa: TID253 - imported with the engine that needs it

ShapeT = TypeVar("ShapeT", bound=Hashable)

#: Runs before a capture: it compiles Triton kernels and makes the handles of cuBLAS, which must not be captured.
_NUM_WARM_UPS: Final = 1


class Graphs(Generic[ShapeT]):
    """Replays the work in the shape that is asked for."""

    def __init__(self, work: Callable[[ShapeT], None]) -> None:
        """Take the work; of one shape it must read and write the same memory at each call."""
        self._work = work
        self._graphs: dict[ShapeT, torch.cuda.CUDAGraph] = {}

    def __contains__(self, shape: ShapeT) -> bool:
        """Return whether there is a graph of a shape."""
        return shape in self._graphs

    def __len__(self) -> int:
        """Return how many graphs there are."""
        return len(self._graphs)

    def capture(self, shapes: Iterable[ShapeT], pool: Any) -> None:
        """Run and capture the work in each shape, on the current stream, which must not be the default one.

        Args:
            shapes: the largest first, so that the others find their memory in the pool.
            pool: of memory; of all graphs in it no two may run at the same time.
        """
        # What the collector frees during a capture, an event say, can break it.
        gc.collect()
        gc.disable()
        try:
            for shape in shapes:
                self._graphs[shape] = self._capture(shape, pool)
        finally:
            gc.enable()

    def _capture(self, shape: ShapeT, pool: Any) -> torch.cuda.CUDAGraph:
        for _ in range(_NUM_WARM_UPS):
            self._work(shape)
        # Work that still runs does not disturb a capture, but what fails should fail here.
        torch.cuda.current_stream().synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate and launch meanwhile, on streams of theirs.
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            self._work(shape)
        finally:
            graph.capture_end()
        return graph

    def forget(self) -> None:
        """Run everything without a graph from here on."""
        self._graphs.clear()

    def run(self, shape: ShapeT) -> None:
        """Do the work in a shape: from its graph if there is one. Launches only."""
        graph = self._graphs.get(shape)
        if graph is None:
            self._work(shape)
        else:
            graph.replay()
