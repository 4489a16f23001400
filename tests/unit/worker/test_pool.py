from __future__ import annotations

import os
import signal
import sys

import pytest

from worker.pool import SWITCH_INTERVAL_S, TaskPool


@pytest.fixture
def signals(monkeypatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


@pytest.fixture
def pool():
    pool = TaskPool(limit=1)
    yield pool
    pool.on_stop()


def run(pool: TaskPool, target, callback=lambda result: None):
    return pool.on_apply(target, (), {}, callback, lambda *_: None)


def test_a_task_runs_and_its_callback_too(pool, signals):
    results = []
    run(pool, lambda: 7, results.append).get()
    assert results == [7]
    assert signals == []


def test_the_process_is_told_to_end_when_a_slot_would_be_lost(pool, signals):
    def target():
        raise MemoryError

    with pytest.raises(MemoryError):
        run(pool, target).get()
    assert signals == [(os.getpid(), signal.SIGTERM)]


@pytest.mark.parametrize("error", [OSError, MemoryError, SystemExit])
def test_the_process_is_told_to_end_when_a_task_cannot_be_acknowledged(pool, signals, error):
    def callback(_):
        raise error

    with pytest.raises(error):
        run(pool, lambda: 7, callback).get()
    assert signals == [(os.getpid(), signal.SIGTERM)]


def test_a_thread_that_cannot_be_ended_is_no_error(pool):
    pool.terminate_job(1, signal.SIGKILL)


def test_threads_take_short_turns_once_the_pool_has_started(pool):
    before_s = sys.getswitchinterval()
    try:
        pool.start()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    finally:
        sys.setswitchinterval(before_s)
