"""A worker started by plain Celery, whose engine breaks in every way an engine can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from narrating import Farm
from processes import ROOT, wait_for

from producer.contract.keys import RedisKeys
from producer.contract.narration import Narration
from producer.contract.status import State
from worker.exitstatus import ENGINE_FAULT_STATUS

pytestmark = pytest.mark.integration

StartCelery = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def farm(settings) -> Farm:
    return Farm(settings)


@pytest.fixture
def log_path(tmp_path) -> Path:
    return tmp_path / "celery.log"


@pytest.fixture
def start_celery(farm, log_path, tmp_path) -> Iterator[StartCelery]:
    started: list[subprocess.Popen[bytes]] = []
    workers_key = RedisKeys(farm.settings.redis_prefix).workers()

    def start(app: str, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", app, "worker", *options],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
                    "CHATTERQUEUE_ENGINE": "tone",
                    "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / "heartbeat"),
                    "CHATTERQUEUE_LEASE_S": "3",
                    "CHATTERQUEUE_LOST_AFTER_S": "3",
                    "CHATTERQUEUE_MAX_ATTEMPTS": "2",
                    **variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        known = set(farm.redis.hkeys(workers_key))
        wait_for(lambda: set(farm.redis.hkeys(workers_key)) > known, "the worker is ready", timeout_s=90)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def narration(*words: str) -> Narration:
    """Return a narration with one segment for each word."""
    return Narration(text="\n\n".join(f"A text with the {word} word in it." for word in words), engine="tone")


def test_plain_celery_serves_the_queues_it_is_given(farm, start_celery, log_path):
    start_celery("worker.app", "-Q", "narration.plan,narration.assemble", "-c", "2")
    (narration_id,) = farm.submit(narration("plain"))
    status = farm.wait_for(narration_id, lambda status: status.state is State.RUNNING, "split")
    assert status.num_attempts == 0
    start_celery("worker.app", "-Q", "narration.synthesize.normal")
    assert farm.wait(narration_id).state is State.SUCCEEDED
    assert "concurrency" in log_path.read_text()


def test_the_worker_goes_on_when_a_task_raises_what_would_end_a_process(farm, start_celery, log_path):
    process = start_celery("faultyworker", "-c", "2")
    # More of each than there are slots: a slot lost for each would leave none.
    errors = ["memory", "exit", "interrupt", "recursion", "generator", "stutter"]
    words = errors + [f"{word} later" for word in errors]
    (broken,) = farm.submit(narration(*words, "good"))
    status = farm.wait(broken)
    assert status.state is State.PARTIAL, status
    assert (status.num_done, status.num_failed) == (1, len(words)) == (1, 12)
    assert status.num_attempts == 1 + 2 * len(words)
    (sound,) = farm.submit(narration("good", "better", "best"))
    assert farm.wait(sound).state is State.SUCCEEDED
    assert process.poll() is None
    assert "slot_lost" not in log_path.read_text()


def test_nothing_is_left_but_the_reason_when_every_segment_fails(farm, start_celery):
    start_celery("faultyworker")
    (narration_id,) = farm.submit(narration("stutter", "memory"))
    status = farm.wait(narration_id)
    assert status.state is State.FAILED
    assert status.reason_code in {"synthesis", "internal_error"}
    manifest = farm.manifest(narration_id)
    assert manifest.audio is None
    assert [segment.is_present for segment in manifest.segments] == [False, False]


def start_until_ended(farm: Farm, narration_id: str, start: Callable[[], subprocess.Popen[bytes]], most: int) -> int:
    """Start a process whenever there is none, as a supervisor does; return how many it took."""
    num_starts = 0
    while not farm.status(narration_id).state.is_terminal:
        process = start()
        num_starts += 1
        assert num_starts <= most, f"{num_starts} processes: {farm.status(narration_id)}"
        is_over = lambda: process.poll() is not None or farm.status(narration_id).state.is_terminal  # noqa: B023, E731
        wait_for(is_over, "the process or the narration has ended", timeout_s=60)
    return num_starts


@pytest.mark.parametrize("app", ["faultyworker", "faultyremoteworker"])
def test_a_segment_that_kills_every_process_is_given_up_and_the_others_are_spoken(farm, start_celery, log_path, app):
    (narration_id,) = farm.submit(narration("good", "die", "better"))
    # Its neighbours are in the process that it ends first; the second it has to itself.
    num_starts = start_until_ended(farm, narration_id, lambda: start_celery(app, "-c", "4"), most=3)
    assert num_starts == 3  # two that it killed, and one that went on
    status = farm.status(narration_id)
    assert status.state is State.PARTIAL
    assert (status.num_done, status.num_failed) == (2, 1)
    assert status.reason_code == "poisoned"
    gap = farm.manifest(narration_id).segments[1]
    assert (gap.is_present, gap.error_code, gap.attempts) == (False, "poisoned", 2)
    # With a process of its own the engine takes the worker along, which has time to say why.
    num_said = 2 if app == "faultyremoteworker" else 0
    log = log_path.read_text()
    assert log.count("engine_process_ended") == log.count("worker_ends") == num_said
    assert ("the engine process ended with status 139" in log) is (num_said > 0)


@pytest.mark.parametrize("app", ["faultyworker", "faultyremoteworker"])
def test_the_process_ends_and_gives_back_what_it_holds_when_its_engine_is_broken(farm, start_celery, log_path, app):
    (narration_id,) = farm.submit(narration("good", "fault", "better", "best"))
    variables = {"CHATTERQUEUE_TONE_SEGMENT_S": "0.3", "CHATTERQUEUE_DRAIN_S": "0"}
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        processes.append(start_celery(app, "-c", "4", **variables))
        return processes[-1]

    start_until_ended(farm, narration_id, start, most=3)
    assert log_path.read_text().count("worker_ends") == 2
    status = farm.status(narration_id)
    assert status.state is State.PARTIAL
    assert (status.num_done, status.num_failed) == (3, 1)
    assert [process.wait(30) for process in processes[:2]] == [ENGINE_FAULT_STATUS] * 2
    assert status.num_attempts == 3 + 2  # what the others had begun was refunded
