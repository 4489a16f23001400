"""The whole engine on a GPU, full size: neighbours, memory that runs out, a device that breaks, and how fast it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_conformance import segment

from producer.contract.narration import Parameters
from worker.engine.request import SegmentRequest, Take
from worker.exitstatus import ENGINE_FAULT_STATUS

pytestmark = pytest.mark.gpu

DEADLINE_S = 300.0

ROOT = Path(__file__).resolve().parent.parent.parent

#: Speech tokens of a segment of 15.6 s, the mean of a book.
NUM_TOKENS = 390


def built(folder: Path, cache_dir: Path, **options: Any) -> Any:
    from worker.engine.chatterbox import ChatterboxEngine

    return ChatterboxEngine(folder, cache_dir=cache_dir, device="cuda", **options)


def started(engine: Any) -> Any:
    engine.load()
    engine.warm_up()
    return engine


def requests(number: int) -> list[SegmentRequest]:
    """Return as many requests of mixed lengths, some without guidance."""
    return [
        segment(
            "It is a truth universally acknowledged. " * (1 + index % 4),
            seed=index,
            parameters=Parameters(cfg_weight=0.0 if index % 5 == 4 else 0.5),
        )
        for index in range(number)
    ]


def spoken(engine: Any, wanted: list[SegmentRequest]) -> list[Take]:
    return [future.result(DEADLINE_S) for future in [engine.submit(request) for request in wanted]]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_takes_are_those_that_a_segment_has_alone(
    full_checkpoint: Any, figures: dict[str, Any], tmp_path: Path, precision: str
) -> None:
    engine = started(built(full_checkpoint("english", stops_after=40), tmp_path, precision=precision, max_slots=16))
    try:
        wanted = requests(24)
        alone = [engine.submit(request).result(DEADLINE_S) for request in wanted]
        together = spoken(engine, wanted)
    finally:
        engine.close(10.0)
    num_same = sum(
        one.seed == other.seed and len(one.pcm) == len(other.pcm) and np.allclose(one.pcm, other.pcm, atol=2e-2)
        for one, other in zip(alone, together, strict=True)
    )
    figures[f"takes equal alone and in company, {precision}"] = f"{num_same} of {len(wanted)}"
    # Products of another height round otherwise, and a draw between two tokens that are nearly as likely may fall
    # otherwise; random weights make all of them nearly as likely.
    assert num_same >= (0.9 if precision == "fp32" else 0.5) * len(wanted)


def test_memory_that_runs_out_makes_batches_smaller_and_loses_no_segment(
    full_checkpoint: Any, figures: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    engine = started(built(full_checkpoint("english", stops_after=40), tmp_path, max_slots=32))
    try:
        torch.cuda.empty_cache()
        left_bytes = 256 * 2**20
        hog = torch.empty(max(0, torch.cuda.mem_get_info()[0] - left_bytes), dtype=torch.uint8, device="cuda")
        outcomes = [engine.submit(request) for request in requests(64)]
        errors = [future.exception(DEADLINE_S) for future in outcomes]
        del hog
        torch.cuda.empty_cache()
        again = spoken(engine, requests(8))
    finally:
        engine.close(10.0)
    lowered = [record for record in caplog.records if record.getMessage() == "batch_limit_lowered"]
    figures["with 256 MiB left"] = {
        "failed": sum(error is not None for error in errors),
        "limits": [(record.batch, record.limit) for record in lowered],  # type: ignore[attr-defined]
    }
    assert all(error is None or error.is_retryable for error in errors)  # type: ignore[attr-defined]
    assert len(again) == 8


_FAULTY = """
import os, sys, threading
from pathlib import Path
import torch
from engine_conformance import segment
from worker.engine.chatterbox import ChatterboxEngine
from worker.errors import EngineFaultError
from worker.exitstatus import ENGINE_FAULT_STATUS

engine = ChatterboxEngine(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), device="cuda", max_slots=16)
engine.load()
engine.warm_up()
(speaker,) = engine._speakers.values()

def assert_on_the_device(speeches):
    index = torch.tensor([5], device="cuda")
    torch.zeros(2, device="cuda")[index]
    torch.cuda.synchronize()

for renderer in speaker._renderers:
    renderer.render = assert_on_the_device
futures = [engine.submit(segment("Hello there.", seed=number)) for number in range(64)]
errors = [future.exception(120) for future in futures]
assert all(isinstance(error, EngineFaultError) for error in errors), errors
assert {error.was_begun for error in errors} == {True, False}, "some had not been begun"
assert engine.health().is_broken
print(errors[0], flush=True)
os._exit(ENGINE_FAULT_STATUS)
"""


@pytest.mark.parametrize("_try", range(4))
def test_a_device_side_assert_fails_all_at_once_and_as_retryable(
    full_checkpoint: Any, tmp_path: Path, _try: int
) -> None:
    """Several times, because which thread meets the fault first, and with what in its hands, is chance."""
    folder = full_checkpoint("english", stops_after=40)
    finished = subprocess.run(
        [sys.executable, "-c", _FAULTY, str(folder), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert finished.returncode == ENGINE_FAULT_STATUS, finished.stderr[-2000:]
    assert "the GPU failed: " in finished.stdout


@pytest.mark.parametrize("num_slots", [1, 8, 128])
def test_how_fast_it_is(full_checkpoint: Any, figures: dict[str, Any], tmp_path: Path, num_slots: int) -> None:
    import torch

    from worker.engine.preparation import ChatterboxPreparation, ChatterboxScript

    class LongAsInABook(ChatterboxPreparation):
        def prepare(self, request: SegmentRequest) -> ChatterboxScript:
            return replace(super().prepare(request), num_forced_tokens=NUM_TOKENS)

    torch.cuda.reset_peak_memory_stats()  # a test before this one takes all memory
    engine = built(full_checkpoint("english"), tmp_path, max_slots=num_slots)
    engine.preparation = LongAsInABook
    begun_s = time.monotonic()
    engine.load()
    loaded_s = time.monotonic()
    engine.warm_up()
    ready_s = time.monotonic()
    wanted = [segment("It is a truth universally acknowledged.", seed=seed) for seed in range(4 * num_slots)]
    try:
        spoken(engine, wanted[: 2 * num_slots])
        again_s = time.monotonic()
        takes = spoken(engine, wanted)
        wall_s = time.monotonic() - again_s
    finally:
        engine.close(10.0)
    audio_s = sum(len(take.pcm) for take in takes) / takes[0].sample_rate_hz
    usages = [take.usage for take in takes if take.usage]
    figures[f"int8, {num_slots} slots, {len(wanted)} segments"] = {
        "audio_s_per_s": round(audio_s / wall_s, 1),
        "wall_s": round(wall_s, 2),
        "decode_share_s": round(sum(usage.decode_s for usage in usages), 2),
        "render_share_s": round(sum(usage.render_s for usage in usages), 2),
        "load_s": round(loaded_s - begun_s, 1),
        "warm_up_s": round(ready_s - loaded_s, 1),
        "peak_reserved_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
    }
    assert sum(usage.engine_s for usage in usages) <= 1.05 * wall_s
