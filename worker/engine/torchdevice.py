"""The device under the models, as the batching engine asks for it (`worker.engine.batching.ports.Device`).

Knows nothing of models.
"""

from __future__ import annotations

from typing import Final, Literal

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.models.device import is_device_fault

#: What is written into an error when memory is short; after those that come as a plain RuntimeError, CUDA goes on.
_FULL_SIGNS: Final = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "not enough memory")


class TorchDevice:
    """One CUDA device, or the CPU."""

    def __init__(self, kind: Literal["cpu", "cuda"]) -> None:
        self._is_cuda = kind == "cuda"

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Say whether the same call may succeed with less."""
        if isinstance(error, torch.OutOfMemoryError):
            return True
        return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _FULL_SIGNS)

    def is_fault(self, error: BaseException) -> bool:
        """Say whether only a new process can use the device again."""
        return not self.is_out_of_memory(error) and is_device_fault(error)

    def release_memory(self) -> None:
        """Give torch's cached blocks back, so that they can become blocks of other sizes."""
        if self._is_cuda:
            torch.cuda.empty_cache()

    def free_bytes(self) -> int:
        """Return what this process may still take of a CUDA device, after giving back what it does not use.

        The driver knows what is free, and nothing of the part of the device that torch may have been limited to.
        """
        torch.cuda.empty_cache()
        free_bytes, total_bytes = torch.cuda.mem_get_info()
        allowed_bytes = int(torch.cuda.get_per_process_memory_fraction() * total_bytes) - torch.cuda.memory_reserved()
        return max(0, min(free_bytes, allowed_bytes))

    def used_bytes(self) -> int:
        """Return what torch holds of the device's memory."""
        return torch.cuda.memory_reserved() if self._is_cuda else 0
