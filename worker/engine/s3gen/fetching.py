"""Results on their way to the host: copied in the order of the current stream, and waited for as the caller says.

The other way is `worker.engine.transfer`. Knows nothing of what is copied.
"""

from __future__ import annotations

from collections.abc import Callable

import torch  # noqa: TID253 - the renderer is loaded where the GPU is

#: Returns when the device has done all that was launched on the current stream.
Wait = Callable[[], None]


def wait_for_stream() -> None:
    """Wait for the current stream, where there are any."""
    if torch.cuda.is_available():
        torch.cuda.current_stream().synchronize()


def begin_fetching(values: torch.Tensor) -> torch.Tensor:
    """Return the tensor on the host; of one on CUDA the numbers are there once the stream has come so far."""
    if not values.is_cuda:
        return values
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    return host


def fetch(values: torch.Tensor, wait: Wait) -> torch.Tensor:
    """Return a tensor on the host, after one wait."""
    host = begin_fetching(values)
    if host is not values:
        wait()
    return host
