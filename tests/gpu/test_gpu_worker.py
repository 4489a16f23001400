"""Real worker processes in int8 on a GPU, through the embedded stack: a device that breaks, memory that runs out.

GPU_TEST_GPU: on which GPU, 0 by default. GPU_TEST_DEVICE=cpu tries this file on a CPU, with small weights and a short
text; the assert is played there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from narrating import Farm
from processes import ROOT, wait_for

from producer.contract.narration import Narration
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.stack import EmbeddedStack
from producer.workers import live_workers
from worker.exitstatus import ENGINE_FAULT_STATUS

pytestmark = pytest.mark.gpu

IS_CPU = os.environ.get("GPU_TEST_DEVICE") == "cpu"
#: As the driver numbers it.
GPU = "" if IS_CPU else os.environ.get("GPU_TEST_GPU", "0")

#: Small engines, so that two of them and their warm-ups share one GPU, and segments wait their turn.
NUM_SLOTS = 2 if IS_CPU else 16
#: Of the book: some sixty segments, or a dozen.
NUM_CHARACTERS = 900 if IS_CPU else 6_300
#: Seconds for a process to load and warm up, twice if a cache is cold, and for the narration.
READY_S = 280.0
END_S = 280.0

StartWorker = Callable[..., "WorkerLog"]


class WorkerLog:
    """A supervisor with its processes, and what all of them have printed."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self.path = path

    def count(self, *words: str) -> int:
        """Return how many lines hold all of these words."""
        lines = self.path.read_text("utf-8", errors="replace").splitlines()
        return sum(all(each in line for each in words) for line in lines)


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    from bench.bytext import checkpoint_by_text

    root = Path(os.environ.get("GPU_TEST_CHECKPOINTS", tempfile.gettempdir()))
    return checkpoint_by_text(root / ("by-text-small" if IS_CPU else "by-text"), is_small=IS_CPU)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def farm(stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> Farm:
    """What hands narrations in, under a prefix that no other test uses."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    variables = {**stack.environment(), "CHATTERQUEUE_REDIS_PREFIX": f"{name}:", "CHATTERQUEUE_S3_PREFIX": f"{name}/"}
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return Farm(Settings.load())


@pytest.fixture
def start_worker(farm: Farm, checkpoint: Path, tmp_path: Path) -> Iterator[StartWorker]:
    """Return what starts a supervisor whose engine has an accident, unless another one has had it."""
    started: list[WorkerLog] = []

    def start(accident: str) -> WorkerLog:
        path = tmp_path / f"worker-{len(started)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "faultysupervisor", "--role", "all", "--gpus", GPU],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
                    "CHATTERQUEUE_ENGINE": "chatterbox",
                    "CHATTERQUEUE_DEVICE": "cpu" if IS_CPU else "cuda",
                    "CHATTERQUEUE_PRECISION": "auto" if IS_CPU else "int8",
                    "CHATTERQUEUE_MODEL_DIR": str(checkpoint),
                    "CHATTERQUEUE_MAX_SLOTS": str(NUM_SLOTS),
                    "CHATTERQUEUE_NUM_THREADS": "1",
                    "CHATTERQUEUE_MAX_RETAKES": "0",  # random weights babble, and would do so again
                    "CHATTERQUEUE_CACHE_DIR": str(tmp_path / "cache"),
                    "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / f"heartbeat-{len(started)}"),
                    "CHATTERQUEUE_TEST_ACCIDENT": accident,
                    "CHATTERQUEUE_TEST_ACCIDENT_FILE": str(tmp_path / "accident"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(WorkerLog(process, path))
        return started[-1]

    yield start
    for worker in started:
        end(worker.process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Have a supervisor drain; its process ends with it, however it ends."""
    process.terminate()
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_ready(farm: Farm, *workers: WorkerLog) -> None:
    def are_ready() -> bool:
        for worker in workers:
            assert worker.process.poll() is None, worker.path.read_text("utf-8", errors="replace")[-3_000:]
        speaking = [worker for worker in live_workers(farm.redis, farm.settings) if worker.engine is not None]
        return len(speaking) >= len(workers)

    wait_for(are_ready, f"{len(workers)} workers are ready", timeout_s=READY_S)


def narrate_book(farm: Farm) -> tuple[Any, Any]:
    """Have a book narrated; return status and manifest."""
    from bench.madeupbook import book

    (narration_id,) = farm.submit(
        Narration(text=book(3, num_characters=NUM_CHARACTERS), engine="chatterbox", format="flac")
    )
    status = farm.wait(narration_id, timeout_s=END_S)
    return status, farm.manifest(narration_id)


def assert_nothing_is_lost(status: Any, manifest: Any) -> None:
    assert status.state is State.SUCCEEDED, status
    assert (status.num_done, status.num_failed) == (status.num_segments, 0)
    assert [segment.index for segment in manifest.segments if not segment.is_present] == []


def test_a_device_that_breaks_ends_its_process_and_no_segment_is_lost(
    farm: Farm, start_worker: StartWorker, figures: dict[str, Any]
) -> None:
    workers = [start_worker("assert"), start_worker("assert")]
    wait_until_ready(farm, *workers)
    status, manifest = narrate_book(farm)
    assert_nothing_is_lost(status, manifest)
    (broken,) = [worker for worker in workers if worker.count("accident kind=break_device")]
    (other,) = [worker for worker in workers if worker is not broken]
    assert broken.count("worker_ends") == 1
    wait_for(lambda: broken.count(f"status={ENGINE_FAULT_STATUS}") == 1, "the process has ended", timeout_s=60)
    assert other.count("process_ended") == 0
    wait_for(
        lambda: broken.count("worker_ready", "engine=chatterbox") == 2,
        "another process has taken its place",
        timeout_s=READY_S,
    )
    again, _ = narrate_book(farm)  # from the segment cache, by whoever is there
    assert (again.state, again.num_reused) == (State.SUCCEEDED, again.num_segments)
    figures["device-side assert in one of two processes"] = {
        "num_segments": status.num_segments,
        "num_attempts": status.num_attempts,
        "audio_s": status.audio_s,
        "exit_status": ENGINE_FAULT_STATUS,
        "lost": status.num_segments - status.num_done,
    }


def test_memory_that_runs_out_loses_no_segment_and_no_process(
    farm: Farm, start_worker: StartWorker, figures: dict[str, Any]
) -> None:
    worker = start_worker("memory")
    wait_until_ready(farm, worker)
    status, manifest = narrate_book(farm)
    assert_nothing_is_lost(status, manifest)
    assert worker.count("accident kind=take_memory") == 1
    num_shortages = worker.count("memory_was_short")
    assert num_shortages > 0
    assert worker.count("process_ended") == 0
    figures["out of memory"] = {
        "num_segments": status.num_segments,
        "num_attempts": status.num_attempts,
        "num_calls_that_failed": num_shortages,
        "num_times_batches_were_halved": worker.count("batch_limit_lowered"),
        "lost": status.num_segments - status.num_done,
    }
