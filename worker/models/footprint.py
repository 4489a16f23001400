"""What loading something costs: seconds, memory of the host, memory of the device.

Knows nothing of models.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MIB: Final = 2**20
_SAMPLE_INTERVAL_S: Final = 0.005


@dataclass(slots=True)
class Footprint:
    """Filled in when the measured block ends; memory is that added by the block. Host figures are 0 but on Linux."""

    seconds: float = 0.0
    #: Highest private memory of this process: what must be there. Pages of mapped files can be given back.
    peak_host_mib: float = 0.0
    #: Highest memory of this process, mapped pages of files included.
    peak_host_with_files_mib: float = 0.0
    device_mib: float = 0.0
    peak_device_mib: float = 0.0

    def add(self, other: Footprint) -> Footprint:
        """Return the footprint of this block and a second one, run after it."""
        return Footprint(
            self.seconds + other.seconds,
            max(self.peak_host_mib, other.peak_host_mib),
            max(self.peak_host_with_files_mib, other.peak_host_with_files_mib),
            self.device_mib + other.device_mib,
            max(self.peak_device_mib, self.device_mib + other.peak_device_mib),
        )


@contextmanager
def measured(device: str) -> Iterator[Footprint]:
    """Measure a block that loads something; waits for the device before and after."""
    import torch

    gc.collect()
    is_cuda = torch.device(device).type == "cuda"
    if is_cuda:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    device_before = torch.cuda.memory_allocated() if is_cuda else 0
    footprint = Footprint()
    with _host_watch(footprint):
        started_s = time.perf_counter()
        yield footprint
        if is_cuda:
            torch.cuda.synchronize()
        footprint.seconds = time.perf_counter() - started_s
    gc.collect()
    if is_cuda:
        footprint.device_mib = (torch.cuda.memory_allocated() - device_before) / _MIB
        footprint.peak_device_mib = (torch.cuda.max_memory_allocated() - device_before) / _MIB


@contextmanager
def _host_watch(footprint: Footprint) -> Iterator[None]:
    """Sample the memory of this process from another thread until the block ends."""
    is_over = threading.Event()
    private_before, total_before = _host_memory_mib()

    def sample() -> None:
        private, total = _host_memory_mib()
        footprint.peak_host_mib = max(footprint.peak_host_mib, private - private_before)
        footprint.peak_host_with_files_mib = max(footprint.peak_host_with_files_mib, total - total_before)

    def watch() -> None:
        while not is_over.wait(_SAMPLE_INTERVAL_S):
            sample()

    watcher = threading.Thread(target=watch, daemon=True, name="footprint")
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
        sample()  # a block may be shorter than the interval


def _host_memory_mib() -> tuple[float, float]:
    """Return this process's private memory, and all of it; zeros where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0, 0.0
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "VmRSS"))}
    return kib.get("RssAnon", 0) / 1024, kib.get("VmRSS", 0) / 1024
