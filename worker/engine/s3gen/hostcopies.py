"""Copies between host and device in the order of the current stream, through pinned memory, so that no call waits.

Knows nothing of what is copied.
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


def send(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the host on the device; torch gives the pinned memory out again only once it was read."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def send_into(target: torch.Tensor, values: torch.Tensor) -> None:
    """Copy a tensor of the host into one of its shape, on whatever device that is."""
    target.copy_(values.pin_memory() if target.is_cuda else values, non_blocking=True)


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
