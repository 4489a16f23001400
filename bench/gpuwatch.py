"""Looks at the GPU while something else runs: how busy it is, how much memory is in use.

Knows nothing of what is measured.
"""

from __future__ import annotations

import statistics
import threading
from types import TracebackType
from typing import Any, Final, Self

#: Seconds between two looks; the driver itself averages over about as much.
INTERVAL_S: Final = 0.2


class GpuWatch:
    """Samples one GPU from a thread of its own, between `with` and its end."""

    def __init__(self, index: int = 0) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        self._busy_percent: list[int] = []
        self._used_mib: list[float] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="gpu-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def summary(self) -> dict[str, Any]:
        """Return the mean share of time in which some kernel ran, and the most memory in use by anyone."""
        return {
            "gpu_busy_percent": round(statistics.mean(self._busy_percent), 1) if self._busy_percent else None,
            "gpu_memory_mib": round(max(self._used_mib, default=0.0)),
        }

    def _look(self) -> None:
        while not self._is_over.wait(INTERVAL_S):
            self._busy_percent.append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
            self._used_mib.append(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used / 2**20)
