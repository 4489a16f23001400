"""Five hundred calls of the multilingual int8 model: memory and speed stay flat, hooks do not pile up."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

NUM_CALLS = 500
#: Calls that may still be filling caches of torch and CUDA.
NUM_WARM_UP = 20
#: Calls per line of progress. The same noise, so the same speech, comes back after as many: every median is of equal
#: work, whether guided or not (every other call is) and however soon the speech ends.
NUM_PER_LINE = 50
MAX_SLOWDOWN = 1.15
MAX_GROWTH_MIB = 1.0


def num_hooks(module: Any) -> int:
    return sum(len(part._forward_hooks) for part in module.modules())


def host_mib() -> float:
    """Return this process's private memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def tell(figures: dict[str, Any], seconds: list[float], memory_mib: list[float]) -> None:
    """Add a line to the figures and print it (seen with -s), so that a run that is cut off tells as well."""
    line = {
        "calls": len(seconds),
        "median_s": round(statistics.median(seconds[-NUM_PER_LINE:]), 4),
        "max_s": round(max(seconds[-NUM_PER_LINE:]), 4),
        "device_mib": round(memory_mib[-1], 3),
        "host_mib": round(host_mib(), 1),
    }
    figures.setdefault("progress", []).append(line)
    print(line, flush=True)  # noqa: T201 - a test has no logger that is seen at once


def test_memory_and_speed_stay_flat_over_500_calls(full_checkpoint: Any, figures: dict[str, Any]) -> None:
    import torch

    from worker.models import ChatterboxMultilingualTTS

    directory = full_checkpoint("multilingual", stops_after=3)
    model = ChatterboxMultilingualTTS.from_local(directory, "cuda", use_bnb_quantization=True)
    seconds, memory_mib, lengths = [], [], []
    hooks_before = num_hooks(model.t3)
    for number in range(NUM_CALLS):
        torch.manual_seed(number % NUM_PER_LINE)
        started_s = time.perf_counter()
        samples = model.generate("Oui.", "fr", cfg_weight=0.5 if number % 2 else 0.0)
        seconds.append(time.perf_counter() - started_s)
        memory_mib.append(torch.cuda.memory_allocated() / 2**20)
        lengths.append(samples.shape[1])
        if (number + 1) % NUM_PER_LINE == 0:
            tell(figures, seconds, memory_mib)
    first, last = (statistics.median(part) for part in (seconds[NUM_WARM_UP : NUM_WARM_UP + 100], seconds[-100:]))
    figures["500 calls"] = {
        "median_s_first_100": round(first, 4),
        "median_s_last_100": round(last, 4),
        "slowdown": round(last / first, 3),
        "growth_mib": round(memory_mib[-1] - memory_mib[NUM_WARM_UP], 3),
        "hooks": num_hooks(model.t3),
        "median_audio_s": round(statistics.median(lengths) / model.sr, 3),
    }
    assert num_hooks(model.t3) == hooks_before == 0
    assert memory_mib[-1] - memory_mib[NUM_WARM_UP] <= MAX_GROWTH_MIB
    assert last <= MAX_SLOWDOWN * first
