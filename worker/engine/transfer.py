"""Copies between host and device that nobody waits for.

Knows nothing of what is copied.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a CPU tensor to the device in the order of the current stream, without waiting.

    Only from pinned memory does the copy not wait; torch reuses the pinned block when the copy is done.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def copy_to(target: torch.Tensor, values: torch.Tensor) -> None:
    """Copy a CPU tensor into a tensor of its shape, as `to_device` does; where a CUDA graph reads, say."""
    if target.is_cuda:
        values = values.pin_memory()
    target.copy_(values, non_blocking=True)


class HostCopy:
    """A copy of a device tensor that is on its way to the host."""

    def __init__(self, values: torch.Tensor) -> None:
        """Start copying in the order of the current stream: later work does not change what arrives."""
        self._arrived: torch.cuda.Event | None = None
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()
        else:
            self._values = values.clone()

    @property
    def has_arrived(self) -> bool:
        """Whether `wait` would return at once."""
        return self._arrived is None or bool(self._arrived.query())  # type: ignore[no-untyped-call]

    def wait(self) -> torch.Tensor:
        """Return the values, on the CPU."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values
