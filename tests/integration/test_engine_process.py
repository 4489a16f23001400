"""An engine in a process of its own, with real processes: takes, errors and ends are those of the engine itself."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from engine_conformance import EngineConformance, segment
from processes import ROOT, is_alive, send_signal, start_script, wait_for
from servedengine import SAMPLES, ToneMaker, WordMaker, sound_of, words

from producer.contract.narration import ModelName
from worker import errors
from worker.engine.protocol import Engine
from worker.engine.remote import engineprocess
from worker.engine.remote.engineprocess import EngineProcess
from worker.engine.request import Usage
from worker.engine.tone import ToneEngine
from worker.engineset import EngineSet
from worker.errors import (
    DeviceTooSmallError,
    DrainingError,
    EngineFaultError,
    EngineUnavailableError,
    LanguageUnsupportedError,
    SynthesisError,
    WorkerStartError,
)

pytestmark = pytest.mark.integration

DEADLINE_S = 60.0

Start = Callable[..., EngineProcess]


def is_gone(pid: int | None) -> bool:
    return pid is not None and not is_alive(pid)


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    """One that survives every test it is used in."""
    engine = EngineProcess(WordMaker())
    engine.load()
    engine.warm_up()
    yield engine
    engine.close(1)
    assert is_gone(engine.pid)


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what makes one that may be broken; it is warm if nothing else is said."""
    started: list[EngineProcess] = []

    def start(maker: WordMaker | None = None, *, is_warm: bool = True, **options: object) -> EngineProcess:
        engine = EngineProcess(maker or WordMaker(), **options)  # type: ignore[arg-type]
        started.append(engine)
        if is_warm:
            engine.load()
            engine.warm_up()
        return engine

    yield start
    for engine in started:
        engine.close(0)


class TestTonesFromAnotherProcess(EngineConformance):
    """The test engine, by the rules for every engine."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> Iterator[Engine]:
        engine = EngineProcess(ToneMaker())
        engine.load()
        engine.warm_up()
        yield engine
        engine.close(1)

    def test_takes_are_those_of_the_engine_itself_to_the_bit(self, engine: Engine) -> None:
        own = ToneEngine()
        own.load()
        expected = own.submit(segment("Listen.")).result(DEADLINE_S)
        own.close(1)
        assert engine.submit(segment("Listen.")).result(DEADLINE_S).pcm.tobytes() == expected.pcm.tobytes()


def test_a_take_arrives_with_every_field_and_can_be_written_to(engine: EngineProcess) -> None:
    take = engine.submit(words("long 24000", seed=7)).result(DEADLINE_S)
    assert np.array_equal(take.pcm, sound_of(24_000, 7))
    assert take.pcm.flags.writeable
    assert (take.sample_rate_hz, take.seed, take.synthesis_s, take.is_watermarked) == (24_000, 7, 0.5, True)
    assert take.usage == Usage(0.3, 0.2)
    assert take.tokens is not None
    assert take.tokens.dtype == np.int16
    assert take.tokens.tolist() == [0, 1, 2, 3, 4]


def test_many_at_once_and_much_more_than_a_socket_holds_in_both_directions(engine: EngineProcess) -> None:
    ballast = "x" * 1_000_000

    def speak(number: int) -> bool:
        text = f"long 300000 {ballast}" if number % 32 == 0 else f"long {10_000 + number}"
        take = engine.submit(words(text, seed=number)).result(DEADLINE_S)
        return np.array_equal(take.pcm, sound_of(int(text.split()[1]), number))

    with ThreadPoolExecutor(256) as pool:
        assert all(pool.map(speak, range(256)))
    assert engine.health().num_in_flight == 0


def test_what_is_known_of_the_engine_is_known_at_once(start: Start) -> None:
    engine = start(is_warm=False)
    assert engine.pid is None
    assert engine.num_slots == 3
    assert not engine.health().is_ready
    with pytest.raises(WorkerStartError, match="before it was warm"):
        engine.submit(words("too early"))
    engine.load()
    engine.warm_up()
    assert (engine.num_slots, engine.sample_rate_hz, engine.is_watermarked) == (2, 24_000, True)
    assert engine.identity(ModelName.ENGLISH) == "words/1"
    with pytest.raises(EngineUnavailableError, match="does not have the multilingual model"):
        engine.identity(ModelName.MULTILINGUAL)
    with pytest.raises(EngineUnavailableError, match="does not have the multilingual model"):
        engine.submit(words("Hallo.", model=ModelName.MULTILINGUAL))
    with pytest.raises(LanguageUnsupportedError, match="words are not de"):
        engine.submit(words("Hallo.", language="de"))
    health = engine.health()
    assert health.is_ready
    assert health.num_finished == 1
    assert health.gauges is not None
    assert health.gauges.used_bytes == 7


@pytest.mark.parametrize("name", ["SynthesisError", "NoSpeechError", "GpuMemoryError", "SegmentUnspeakableError"])
@pytest.mark.parametrize("how", ["fail", "refuse"])
def test_an_error_is_the_engines_own(engine: EngineProcess, how: str, name: str) -> None:
    error = engine.submit(words(f"{how} {name}")).exception(DEADLINE_S)
    expected = getattr(errors, name)
    assert type(error) is expected
    assert (error.code, error.is_retryable) == (expected.code, expected.is_retryable)
    assert str(error) == "it stuttered"
    assert not engine.health().is_broken


def test_an_error_that_cannot_travel_says_where_it_was_raised_and_nothing_of_the_text(engine: EngineProcess) -> None:
    error = engine.submit(words("strange secret")).exception(DEADLINE_S)
    assert type(error) is SynthesisError
    assert "StrangeError" in str(error)
    assert "secret" not in str(error)


def test_what_is_begun_there_is_running_here_and_cannot_be_cancelled(engine: EngineProcess) -> None:
    held = engine.submit(words("hold"))
    wait_for(held.running, "it is begun")
    assert not held.cancel()
    waiting = engine.submit(words("wait"))
    assert not waiting.running()
    assert waiting.cancel()
    assert engine.submit(words("release")).result(DEADLINE_S).seed == 1
    assert held.result(DEADLINE_S).seed == 1
    assert waiting.cancelled()
    assert engine.health().num_in_flight == 0


def test_one_that_is_begun_can_be_abandoned(engine: EngineProcess) -> None:
    held = engine.submit(words("hold"))
    wait_for(held.running, "it is begun")
    held.abandon()
    engine.submit(words("release")).result(DEADLINE_S)
    with pytest.raises(CancelledError):
        held.result(DEADLINE_S)


def test_a_segment_that_is_cancelled_while_it_is_begun_harms_nobody(engine: EngineProcess) -> None:
    """Cancelled before the words `it is begun` can have come back."""
    for _ in range(50):
        engine.submit(words("hold")).cancel()
    assert engine.submit(words("release")).result(DEADLINE_S).seed == 1
    assert engine.submit(words("long 20")).result(DEADLINE_S).seed == 1
    assert engine.health().is_ready


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_is_for_the_worker_process_alone(engine: EngineProcess, number) -> None:
    assert engine.pid is not None
    send_signal(engine.pid, number)
    assert engine.submit(words("Still here.")).result(DEADLINE_S).seed == 1


def test_a_device_that_breaks_fails_all_and_says_who_was_begun(start: Start) -> None:
    engine = start()
    waiting, held = engine.submit(words("wait")), engine.submit(words("hold"))
    errors = [each.exception(DEADLINE_S) for each in (engine.submit(words("fault")), waiting, held)]
    assert [type(error) for error in errors] == [EngineFaultError] * 3
    assert [error.was_begun for error in errors if isinstance(error, EngineFaultError)] == [False, False, True]
    assert engine.health().is_broken
    assert not engine.health().is_ready
    with pytest.raises(EngineFaultError) as caught:
        engine.submit(words("too late"))
    assert not caught.value.was_begun


@pytest.mark.parametrize("by", ["itself", "us"])
def test_a_process_that_is_killed_fails_all_at_once_and_is_named(
    start: Start, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = start()
    assert engine.pid is not None
    futures = [engine.submit(words("wait")), engine.submit(words("hold"))]
    if by == "us":
        send_signal(engine.pid, signal.SIGKILL)
    else:
        futures.append(engine.submit(words("kill")))
    for future in futures:
        error = future.exception(DEADLINE_S)
        assert isinstance(error, EngineFaultError)
        assert str(error) == "the engine process was ended by SIGKILL"
        assert error.was_begun  # nobody knows whose fault it was
    assert engine.health().is_broken
    with pytest.raises(EngineFaultError):
        engine.submit(words("too late"))
    wait_for(lambda: "engine_process_ended" in caplog.messages, "it is logged")
    (said,) = [record for record in caplog.records if record.getMessage() == "engine_process_ended"]
    assert (said.levelno, said.engine_pid, said.num_in_flight) == (logging.CRITICAL, engine.pid, len(futures))


def test_a_process_that_says_nothing_is_stalled_until_it_speaks_again(start: Start) -> None:
    ahead_s = [0.0]
    engine = start(clock=lambda: time.monotonic() + ahead_s[0])
    assert engine.pid is not None
    engine.submit(words("hold"))
    assert engine.health().stalled_s == 0.0
    send_signal(engine.pid, signal.SIGSTOP)

    def is_stalled() -> bool:
        ahead_s[0] += 100  # a report that is still on its way counts as one of this moment
        return engine.health().stalled_s > 99

    wait_for(is_stalled, "it counts as stalled")
    send_signal(engine.pid, signal.SIGCONT)
    wait_for(lambda: engine.health().stalled_s == 0.0, "it does not any more")


@pytest.mark.parametrize(
    ("step", "name", "expected"),
    [
        ("made", "DeviceTooSmallError", DeviceTooSmallError),
        ("load", "WeightsDamagedError", errors.WeightsDamagedError),
        ("warm_up", "EngineFaultError", EngineFaultError),
        ("load", "ValueError", RuntimeError),
        ("load", "kill", EngineFaultError),
    ],
)
def test_a_start_that_fails_says_why_and_leaves_no_process(start: Start, step: str, name: str, expected) -> None:
    engine = start(WordMaker(fault=(step, name)), is_warm=False)
    with pytest.raises(expected) as caught:
        EngineSet(engine, {}).load_primary()
    assert type(caught.value) is expected
    if name in SAMPLES:
        assert caught.value.args == SAMPLES[name]
    if name == "ValueError":
        assert str(caught.value) == "ValueError: no error of ours"
    if name == "kill":
        assert "SIGKILL" in str(caught.value)
    else:
        assert "servedengine.py" in "".join(caught.value.__notes__)
    assert is_gone(engine.pid)
    with pytest.raises(DrainingError):
        engine.submit(words("too late"))


def test_closing_ends_what_is_held_and_the_process(start: Start) -> None:
    engine = start()
    futures = [engine.submit(words("hold")), engine.submit(words("wait"))]
    engine.close(0.1)
    assert [type(future.exception(0)) for future in futures] == [DrainingError] * 2
    assert is_gone(engine.pid)
    assert not engine.health().is_broken
    with pytest.raises(DrainingError):
        engine.submit(words("too late"))
    with pytest.raises(DrainingError):
        engine.identity(ModelName.ENGLISH)
    assert engine.is_watermarked  # asked by whoever still stores a take that came before
    engine.close(0.1)


def test_closing_one_that_was_never_started_starts_none(start: Start) -> None:
    engine = start(is_warm=False)
    engine.close(1)
    assert engine.pid is None
    with pytest.raises(DrainingError):
        engine.load()


def test_closing_ends_a_process_that_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engineprocess, "_END_S", 0.2)
    engine = start()
    assert engine.pid is not None
    future = engine.submit(words("hold"))
    send_signal(engine.pid, signal.SIGSTOP)
    engine.close(0.0)
    assert is_gone(engine.pid)
    assert isinstance(future.exception(0), DrainingError)


_PARENT = """
import sys, threading
sys.path[:0] = {path!r}
from servedengine import WordMaker, words
from worker.engine.remote.engineprocess import EngineProcess

def start():
    global engine
    engine = EngineProcess(WordMaker())
    engine.load()
    engine.warm_up()
    engine.submit(words("hold"))

if {is_threaded}:
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
else:
    start()
print(engine.pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("state", ["at work", "stopped", "started by a thread"])
def test_a_process_whose_worker_process_is_killed_is_gone_too(state: str) -> None:
    """A stopped one reads no end of file, and one that a thread has started gets no signal."""
    if state == "stopped" and sys.platform != "linux":
        pytest.skip("only Linux ends it then")
    script = _PARENT.format(path=[str(ROOT), str(ROOT / "tests")], is_threaded=state == "started by a thread")
    with start_script(script) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if state == "stopped":
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    wait_for(lambda: is_gone(pid), "the engine process is gone")
