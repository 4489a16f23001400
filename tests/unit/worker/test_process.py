from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from producer.contract.routing import Role
from worker.process import NUM_CPU_THREADS, SWITCH_INTERVAL_S, WorkerProcess
from worker.settings import WorkerSettings


@pytest.fixture
def interval_s() -> Iterator[float]:
    """Python's own interval, which is there again after the test."""
    before_s = sys.getswitchinterval()
    yield before_s
    sys.setswitchinterval(before_s)


@pytest.mark.parametrize("role", [Role.ALL, Role.GPU])
def test_threads_take_short_turns_beside_an_engine(role, interval_s):
    process = WorkerProcess(WorkerSettings.load(role=role, engine="tone"))
    process._load_engine()
    process._engines.close(1.0)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)


def test_threads_that_only_split_and_assemble_take_turns_as_python_has_them(interval_s):
    process = WorkerProcess(WorkerSettings.load(role=Role.CPU, engine="tone"))
    process._load_engine()
    assert sys.getswitchinterval() == interval_s
    assert process.concurrency == NUM_CPU_THREADS
