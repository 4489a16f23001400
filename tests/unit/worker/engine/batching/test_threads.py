"""The engine on its own threads: what only they can get wrong."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from batchingfakes import (
    RATE_HZ,
    Behaviour,
    BrokenError,
    FakeDecoder,
    FakeDevice,
    FakePreparation,
    FakeRenderer,
    FullError,
    Gate,
    segment,
    sound_of,
)

from worker.engine.batching.loop import BatchingLoop
from worker.engine.batching.settling import Sound
from worker.errors import DrainingError, EngineFaultError, GpuMemoryError

DEADLINE_S = 20.0

Start = Callable[..., BatchingLoop]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[BatchingLoop] = []

    def start(decoder: FakeDecoder | None = None, *renderers: FakeRenderer) -> BatchingLoop:
        loop = BatchingLoop(
            preparation=FakePreparation(),
            decoder=decoder or FakeDecoder(num_slots=8),
            renderers=renderers or [FakeRenderer()],
            device=FakeDevice(),
            sound=Sound(RATE_HZ, is_watermarked=True),
            render_patience_s=0.001,
        )
        loop.start()
        started.append(loop)
        return loop

    yield start
    for loop in started:
        loop.close(timeout_s=0.0)


def test_segments_from_many_threads_are_all_spoken(start: Start) -> None:
    loop = start()

    def speak(number: int) -> None:
        behaviour = Behaviour(name=number, num_tokens=1 + number % 20, num_rows=1 + number % 2)
        take = loop.submit(segment(behaviour)).result(DEADLINE_S)
        assert np.array_equal(take.pcm, sound_of(behaviour, take.seed))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(speak, range(300)))
    assert loop.health().num_finished == 300
    assert loop.health().num_in_flight == 0


def test_decoding_goes_on_while_a_batch_is_rendered(start: Start) -> None:
    gate = Gate("render")
    decoder = FakeDecoder(num_slots=1)
    loop = start(decoder, FakeRenderer(on_call=gate))
    first = loop.submit(segment(name=1))
    assert gate.reached.wait(DEADLINE_S)
    admitted = threading.Event()
    decoder.on_call = lambda call: admitted.set() if call == "admit" else None
    second = loop.submit(segment(name=2))
    assert admitted.wait(DEADLINE_S)  # though the renderer is held up
    assert not first.done()
    gate.go_on.set()
    assert first.result(DEADLINE_S).seed == second.result(DEADLINE_S).seed


def test_a_second_renderer_goes_on_while_the_first_is_held_up_and_both_end_with_the_engine(start: Start) -> None:
    gate = Gate("render")
    is_first = iter([True])

    def hold_up_the_first(call: str) -> None:
        if next(is_first, False):
            gate(call)

    loop = start(
        FakeDecoder(num_slots=1), FakeRenderer(on_call=hold_up_the_first), FakeRenderer(on_call=hold_up_the_first)
    )
    held_up = loop.submit(segment(name=0))
    assert gate.reached.wait(DEADLINE_S)
    others = [loop.submit(segment(name=number)) for number in range(1, 20)]
    for number, future in enumerate(others, start=1):
        take = future.result(DEADLINE_S)
        assert np.array_equal(take.pcm, sound_of(Behaviour(name=number), take.seed))
    assert not held_up.done()
    gate.go_on.set()
    held_up.result(DEADLINE_S)
    assert loop.render_queue.num_rendering == 0
    loop.close(timeout_s=DEADLINE_S)
    assert all(thread.join(0.0) for thread in loop._threads)


def test_what_is_attached_to_a_future_holds_up_neither_decoding_nor_rendering(start: Start) -> None:
    go_on, rendered = threading.Event(), threading.Event()
    renderer = FakeRenderer()
    loop = start(FakeDecoder(num_slots=1), renderer)
    first = loop.submit(segment(name=1))
    first.add_done_callback(lambda _: go_on.wait(DEADLINE_S))
    first.result(DEADLINE_S)
    renderer.on_call = lambda _: rendered.set()
    second = loop.submit(segment(name=2))
    assert rendered.wait(DEADLINE_S)  # while the callback of the first still runs
    go_on.set()
    second.result(DEADLINE_S)


def test_a_fault_fails_all_at_once_and_nothing_is_taken_any_more(start: Start) -> None:
    gate = Gate("step")

    def fault(call: str) -> None:
        gate(call)
        if call == "step":
            raise BrokenError("CUDA error: device-side assert triggered")

    loop = start(FakeDecoder(num_slots=2, on_call=fault))
    futures = [loop.submit(segment(name=number)) for number in range(6)]
    assert gate.reached.wait(DEADLINE_S)
    gate.go_on.set()
    for future in futures:
        assert isinstance(future.exception(DEADLINE_S), EngineFaultError)
    with pytest.raises(EngineFaultError):
        loop.submit(segment())
    health = loop.health()
    assert (health.is_ready, health.is_broken) == (False, True)


class Pinned:
    """Stands for memory that only a device which works takes back."""

    def __init__(self, let_go: threading.Event) -> None:
        self._let_go = let_go

    def __del__(self) -> None:
        self._let_go.set()


@pytest.mark.parametrize("where", ["admit", "step", "render"])
@pytest.mark.parametrize(("kind", "is_let_go"), [(BrokenError, False), (FullError, True)])
def test_what_a_failed_call_held_is_let_go_unless_the_device_has_failed(
    start: Start, where: str, kind: type[Exception], is_let_go: bool
) -> None:
    let_go = threading.Event()

    def fail(call: str) -> None:
        if call == where:
            pinned = Pinned(let_go)
            raise kind(f"{pinned} was in use")

    loop = start(FakeDecoder(num_slots=2, on_call=fail), FakeRenderer(on_call=fail))
    outcome = loop.submit(segment()).exception(DEADLINE_S)
    loop.close(DEADLINE_S)
    del loop
    gc.collect()
    assert isinstance(outcome, GpuMemoryError if is_let_go else EngineFaultError)
    assert let_go.is_set() is is_let_go


def test_a_bug_in_a_stage_itself_keeps_nobody_waiting(start: Start) -> None:
    loop = start()
    loop.decoding._finish = lambda spoken: 1 / 0  # type: ignore[method-assign]
    future = loop.submit(segment())
    error = future.exception(DEADLINE_S)
    assert isinstance(error, EngineFaultError)
    assert "ZeroDivisionError in test_threads.py" in str(error)


def test_closing_lets_what_is_spoken_finish_and_gives_the_rest_back(start: Start) -> None:
    gate = Gate("step")
    loop = start(FakeDecoder(num_slots=1, on_call=gate))
    first = loop.submit(segment(name=1))
    assert gate.reached.wait(DEADLINE_S)
    second = loop.submit(segment(name=2))
    second.add_done_callback(lambda _: gate.go_on.set())  # it is given back before the first is waited for
    loop.close(timeout_s=DEADLINE_S)
    assert first.result(0).seed == 7
    with pytest.raises(DrainingError):
        second.result(0)
    with pytest.raises(DrainingError):
        loop.submit(segment())
    assert not any(thread.name.startswith("engine-") and thread.is_alive() for thread in threading.enumerate())


def test_closing_does_not_wait_for_a_device_that_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.batching.loop._JOIN_S", 0.01)
    gate = Gate("step")
    loop = start(FakeDecoder(on_call=gate))
    future = loop.submit(segment())
    assert gate.reached.wait(DEADLINE_S)
    loop.close(timeout_s=0.01)
    with pytest.raises(DrainingError):
        future.result(0)
    gate.go_on.set()
