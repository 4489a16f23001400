from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import numpy as np
import pytest

from producer.contract.narration import ModelName, Parameters
from worker.engine.executor import SegmentExecutor, place_of
from worker.engine.request import SegmentRequest, Take
from worker.errors import (
    DrainingError,
    EngineFaultError,
    LanguageUnsupportedError,
    SegmentUnspeakableError,
    SynthesisError,
    WorkerStartError,
)

DEADLINE_S = 10.0


def request(text: str = "text") -> SegmentRequest:
    return SegmentRequest(text, "en", ModelName.ENGLISH, None, Parameters(), seed=1)


def take(pcm: np.ndarray | None = None) -> Take:
    return Take(np.ones(4, np.float32) if pcm is None else pcm, 24_000, 1, 0.0, is_watermarked=False)


class Speech:
    """A speak function that waits until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.texts: list[str] = []

    def __call__(self, request: SegmentRequest) -> Take:
        self.texts.append(request.text)
        self.begun.release()
        assert self.go_on.wait(DEADLINE_S)
        return take()


@pytest.fixture
def speech() -> Iterator[Speech]:
    speech = Speech()
    yield speech
    speech.go_on.set()


def started(speak: object, num_threads: int = 1) -> SegmentExecutor:
    executor = SegmentExecutor(speak, num_threads=num_threads, name="test")  # type: ignore[arg-type]
    executor.start()
    return executor


def test_takes_come_in_the_order_of_submission_on_one_thread(speech: Speech) -> None:
    executor = started(speech)
    futures = [executor.submit(request(str(number))) for number in range(5)]
    speech.go_on.set()
    assert all(future.result(DEADLINE_S).sample_rate_hz == 24_000 for future in futures)
    assert speech.texts == ["0", "1", "2", "3", "4"]


def test_health_counts_what_is_in_flight_and_stalls_only_while_there_is_work(speech: Speech) -> None:
    executor = started(speech)
    assert executor.health().is_ready
    assert executor.health().stalled_s == 0.0
    future = executor.submit(request())
    assert speech.begun.acquire(timeout=DEADLINE_S)
    first, second = executor.health(), executor.health()
    assert (first.num_in_flight, first.num_finished) == (1, 0)
    assert second.stalled_s > first.stalled_s > 0.0
    speech.go_on.set()
    future.result(DEADLINE_S)
    assert executor.health() == type(first)(is_ready=True, num_in_flight=0, num_finished=1, stalled_s=0.0)


def test_a_future_cancelled_while_it_waits_is_not_begun(speech: Speech) -> None:
    executor = started(speech)
    first, second, third = (executor.submit(request(text)) for text in "abc")
    assert speech.begun.acquire(timeout=DEADLINE_S)
    assert second.cancel()
    assert executor.health().num_in_flight == 2
    speech.go_on.set()
    first.result(DEADLINE_S)
    third.result(DEADLINE_S)
    assert speech.texts == ["a", "c"]
    with pytest.raises(CancelledError):
        second.result(0)


def test_closing_lets_the_current_segment_finish_and_fails_the_waiting_ones(speech: Speech) -> None:
    executor = started(speech)
    first, second = executor.submit(request("a")), executor.submit(request("b"))
    assert speech.begun.acquire(timeout=DEADLINE_S)
    speech.go_on.set()
    executor.close(DEADLINE_S)
    assert first.result(0).seed == 1
    with pytest.raises(DrainingError):
        second.result(DEADLINE_S)
    assert not executor.health().is_ready
    with pytest.raises(DrainingError):
        executor.submit(request())


def test_closing_does_not_leave_anybody_waiting_for_a_segment_that_hangs(speech: Speech) -> None:
    executor = started(speech)
    future = executor.submit(request())
    assert speech.begun.acquire(timeout=DEADLINE_S)
    executor.close(0.0)
    with pytest.raises(DrainingError):
        future.result(0)


def test_closing_an_engine_that_was_never_loaded_does_nothing() -> None:
    SegmentExecutor(lambda request: take(), num_threads=1, name="test").close(0.0)


def test_a_segment_before_loading_is_refused() -> None:
    executor = SegmentExecutor(lambda request: take(), num_threads=1, name="test")
    assert not executor.health().is_ready
    with pytest.raises(WorkerStartError):
        executor.submit(request())


def test_our_errors_reach_the_caller_as_they_are() -> None:
    def speak(request: SegmentRequest) -> Take:
        raise LanguageUnsupportedError("no")

    with pytest.raises(LanguageUnsupportedError):
        started(speak).submit(request()).result(DEADLINE_S)


@pytest.mark.parametrize("kind", [KeyError, MemoryError, SystemExit, KeyboardInterrupt])
def test_an_unexpected_error_tells_its_place_but_never_the_text(kind: type[BaseException]) -> None:
    def speak(request: SegmentRequest) -> Take:
        raise kind(request.text)

    executor = started(speak)
    with pytest.raises(SynthesisError, match=rf"{kind.__name__} in test_executor.py:\d+") as caught:
        executor.submit(request("a secret")).result(DEADLINE_S)
    assert "secret" not in str(caught.value)
    with pytest.raises(SynthesisError):  # the thread is still there
        executor.submit(request()).result(DEADLINE_S)


def test_after_a_fault_nothing_more_is_spoken(speech: Speech) -> None:
    def speak(request: SegmentRequest) -> Take:
        speech(request)
        raise EngineFaultError("the GPU failed")

    executor = started(speak)
    first, second = executor.submit(request("a")), executor.submit(request("b"))
    speech.go_on.set()
    for future in (first, second):
        with pytest.raises(EngineFaultError):
            future.result(DEADLINE_S)
    assert speech.texts == ["a"]
    assert not executor.health().is_ready
    with pytest.raises(EngineFaultError):
        executor.submit(request())


@pytest.mark.parametrize(
    ("pcm", "error"),
    [
        (np.zeros(0, np.float32), SegmentUnspeakableError),
        (np.array([0.0, np.nan], np.float32), SynthesisError),
        (np.array([np.inf], np.float32), SynthesisError),
    ],
)
def test_a_take_without_usable_audio_is_an_error(pcm: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        started(lambda request: take(pcm)).submit(request()).result(DEADLINE_S)


def test_the_place_of_an_error_that_was_never_raised_is_its_type() -> None:
    assert place_of(ValueError("a secret")) == "ValueError"
