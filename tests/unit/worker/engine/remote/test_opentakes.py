from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest

from worker.engine.remote.opentakes import OpenTakes
from worker.engine.request import Take
from worker.errors import DrainingError, EngineFaultError, NoSpeechError, WorkerStartError

TAKE = Take(np.ones(3, np.float32), 24_000, 1, 0.5, True)


@pytest.fixture
def given_up() -> list[int]:
    """Numbers of takes that the other side was told to give up."""
    return []


@pytest.fixture
def takes(given_up: list[int]) -> OpenTakes:
    takes = OpenTakes(given_up.append)
    takes.open(num_finished=1)
    return takes


def test_nobody_comes_in_before_it_is_open() -> None:
    with pytest.raises(WorkerStartError):
        OpenTakes(lambda _: None).add()


def test_takes_and_errors_reach_their_futures_and_takes_are_counted(takes: OpenTakes) -> None:
    (one, spoken), (two, failed) = takes.add(), takes.add()
    assert len(takes) == 2
    takes.end(two, NoSpeechError("nothing"))
    takes.end(one, TAKE)
    assert spoken.result(0) is TAKE
    assert isinstance(failed.exception(0), NoSpeechError)
    assert (len(takes), takes.num_finished, takes.is_broken) == (0, 2, False)


def test_one_that_is_begun_runs_and_is_given_up_only_when_abandoned(takes: OpenTakes, given_up: list[int]) -> None:
    number, future = takes.add()
    takes.begin(number)
    assert future.running()
    assert not future.cancel()
    assert given_up == []
    future.abandon()
    future.abandon()
    assert given_up == [number]
    takes.end(number, None)
    with pytest.raises(CancelledError):
        future.result(0)


def test_one_that_is_cancelled_is_given_up_once_and_forgotten(takes: OpenTakes, given_up: list[int]) -> None:
    number, future = takes.add()
    assert future.cancel()
    assert future.cancel()
    future.abandon()
    assert given_up == [number]
    assert len(takes) == 0
    takes.begin(number)  # it had been begun when it was cancelled here
    takes.end(number, TAKE)
    assert future.cancelled()
    assert takes.num_finished == 1


def test_a_fault_closes_the_door_and_leaves_those_inside_to_the_engine(takes: OpenTakes) -> None:
    (one, first), (two, second) = takes.add(), takes.add()
    takes.end(one, EngineFaultError("the GPU failed"))
    assert takes.is_broken
    with pytest.raises(EngineFaultError) as caught:
        takes.add()
    assert not caught.value.was_begun
    assert first.done()
    assert not second.done()
    takes.end(two, EngineFaultError("the GPU failed", False))
    assert second.done()


def test_closing_refuses_the_next_and_the_end_is_for_all_that_are_left(takes: OpenTakes) -> None:
    _, future = takes.add()
    takes.close()
    with pytest.raises(DrainingError):
        takes.add()
    assert not future.done()
    assert takes.end_all(DrainingError) == 1
    assert isinstance(future.exception(0), DrainingError)
    assert takes.end_all(DrainingError) == 0
