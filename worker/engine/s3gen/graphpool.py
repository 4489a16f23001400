"""Where CUDA graphs that take turns are captured: one pool of memory and one stream for all of them.

Knows nothing of what is captured. torch gives memory that was freed on one stream to that stream only, within a pool
as elsewhere: graphs captured on several streams would share nothing, and each stream would get a workspace of cuBLAS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch  # noqa: TID253 - graphs are torch's

Made = TypeVar("Made")


class GraphPool:
    """Captures functions so that all of them work in the memory of the largest; no two may run at once."""

    def __init__(self, device: torch.device) -> None:
        """Make a stream; memory is taken at the first capture.

        Args:
            device: a CUDA device.
        """
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._handle = torch.cuda.graph_pool_handle()

    def capture(self, function: Callable[[], Made]) -> tuple[Any, Made]:
        """Run a function, then capture it; the largest one first, so that the others find their memory.

        Args:
            function: launches only. Its first run compiles kernels and lets libraries choose their algorithms.

        Returns:
            The graph, and what the function returned while it was captured: a replay writes into that memory, and so
            may a replay of any other graph of the pool.
        """
        stream = self._stream
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            function()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Gives back what the run took, which is in no pool. Only this thread's calls are watched: others, such as
        # T3's, go on meanwhile.
        with torch.cuda.graph(graph, pool=self._handle, stream=stream, capture_error_mode="thread_local"):
            made = function()
        torch.cuda.current_stream(stream.device).wait_stream(stream)
        return graph, made
