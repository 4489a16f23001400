"""Looks at the GPU while something else runs: how busy it is, how much memory is in use.

Knows nothing of what is measured.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

#: Seconds between two looks; the driver itself averages over about as much.
INTERVAL_S: Final = 0.2


class GpuWatch:
    """Samples one GPU from a thread of its own, between `with` and its end."""

    def __init__(self, index: int | None = None) -> None:
        """Take a GPU as the driver numbers it; None: the first one that this process may use."""
        import pynvml

        if index is None:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
            index = int(visible) if visible.isdigit() else 0

        pynvml.nvmlInit()
        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        #: (seconds since the epoch, percent of time in which a kernel ran, MiB in use), at each look.
        self._looks: list[tuple[float, int, float]] = []
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

    def summary(self, from_s: float = 0.0, to_s: float = float("inf")) -> dict[str, Any]:
        """Return the mean share of time in which some kernel ran, and the most memory in use by anyone.

        Args:
            from_s: look no further back, in seconds since the epoch.
            to_s: and no further ahead.
        """
        looks = [(busy_percent, used_mib) for at_s, busy_percent, used_mib in self._looks if from_s <= at_s <= to_s]
        return {
            "gpu_busy_percent": round(statistics.mean(busy for busy, _ in looks), 1) if looks else None,
            "gpu_memory_mib": round(max((used for _, used in looks), default=0.0)),
        }

    def _look(self) -> None:
        while not self._is_over.wait(INTERVAL_S):
            busy_percent = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
            used_mib = self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used / 2**20
            self._looks.append((time.time(), busy_percent, used_mib))
