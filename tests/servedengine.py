"""Engines for tests of the engine process, described so that they can be made there: which texts do what.

The words of a text, in this order:
    long N          a take of N samples
    hold            begun, and not ended before somebody says `release`
    wait            not begun before somebody says `release`
    release         what is held or waits is spoken
    fail CLASS      that error of `worker.errors`, in the future; `refuse CLASS` at once
    strange         an error that no pickle takes, which quotes the text
    fault           the device breaks: this one and all others end so
    kill            the process ends, by SIGKILL
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from producer.contract.narration import EngineName, ModelName
from worker import errors
from worker.engine.batching.gauges import Gauges
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take, Usage
from worker.engine.tone import ToneEngine
from worker.errors import (
    ChatterqueueError,
    DrainingError,
    EngineFaultError,
    EngineUnavailableError,
)

RATE_HZ = 24_000

#: One of each class that is made from more than words.
SAMPLES: dict[str, tuple[object, ...]] = {
    "DeviceTooSmallError": (1, 2),
    "WeightsDamagedError": ("/models", [{"file": "a", "code": "b", "message": "c"}]),
    "UnsafeCheckpointError": ("/models/a.pt", "a pickle"),
    "EngineFaultError": ("the GPU failed", False),
    "DictionaryTooSlowError": (1, 0.5),
    "DictionaryLimitError": (1, "too often"),
    "DictionaryRegexError": (1, "unbalanced"),
    "RedoImpossibleError": (1, "not there"),
    "LeaseLostError": ("id", "0"),
    "SpoolSpaceError": ("/tmp", 1, 2),
    "SegmentsUnusableError": ("gone", [1, 2]),
    "DrainingError": (),
}


def error_of(name: str) -> ChatterqueueError:
    """Return an error of a class of `worker.errors`."""
    return getattr(errors, name)(*SAMPLES.get(name, ("it stuttered",)))


class StrangeError(Exception):
    """What no pickle takes."""

    def __reduce__(self) -> str:
        raise TypeError("not this one")


def sound_of(num_samples: int, seed: int) -> np.ndarray:
    """Return the sound of `long`."""
    return np.random.default_rng(seed).uniform(-1, 1, num_samples).astype(np.float32)


class WordEngine:
    """Does what the words of a text say."""

    name = EngineName.CHATTERBOX
    sample_rate_hz = RATE_HZ
    is_watermarked = True
    num_slots = 3

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[tuple[TakeFuture, SegmentRequest]] = []
        self._num_finished = 0
        self._is_ready = False
        self._is_broken = False

    def load(self) -> None:
        self._is_ready = True

    def warm_up(self) -> None:
        self.num_slots = 2
        self._num_finished = 1

    def identity(self, model: ModelName) -> str:
        if model is not ModelName.ENGLISH:
            raise EngineUnavailableError(f"this worker does not have the {model.value} model")
        return "words/1"

    def why_not(self, model: ModelName, language: str) -> str | None:
        return None if language == "en" else f"words are not {language}"

    def submit(self, request: SegmentRequest) -> Future[Take]:
        future = TakeFuture()
        words = request.text.split(maxsplit=2)
        match words:
            case ["refuse", name, *_]:
                raise error_of(name)
            case ["hold", *_]:
                future.begin()
                self._hold(future, request)
            case ["wait", *_]:
                self._hold(future, request)
            case ["release", *_]:
                self._release()
                self._speak(future, request)
            case ["fail", name, *_]:
                future.begin()
                future.end(error_of(name))
            case ["strange", *_]:
                future.end(StrangeError(request.text))
            case ["fault", *_]:
                self._fault(future)
            case ["kill", *_]:
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                self._speak(future, request)
        return future

    def _hold(self, future: TakeFuture, request: SegmentRequest) -> None:
        with self._lock:
            self._held.append((future, request))

    def _release(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        for future, request in held:
            self._speak(future, request) if future.is_wanted else future.drop()

    def _speak(self, future: TakeFuture, request: SegmentRequest) -> None:
        words = request.text.split(maxsplit=2)
        num_samples = int(words[1]) if words[0] == "long" else 10
        if future.begin():
            self._num_finished += 1
            future.end(
                Take(
                    sound_of(num_samples, request.seed),
                    RATE_HZ,
                    request.seed,
                    0.5,
                    True,
                    usage=Usage(0.3, 0.2),
                    tokens=np.arange(5, dtype=np.int16),
                )
            )

    def _fault(self, future: TakeFuture) -> None:
        self._is_broken = True
        for each, _ in [(future, None), *self._held]:
            each.end(EngineFaultError("the GPU failed", each.running()))

    def health(self) -> EngineHealth:
        return EngineHealth(
            is_ready=self._is_ready and not self._is_broken,
            num_in_flight=len(self._held),
            num_finished=self._num_finished,
            stalled_s=0.0,
            is_broken=self._is_broken,
            gauges=Gauges(2, len(self._held), 0, 0, 1.5, 2.5, 7),
        )

    def close(self, timeout_s: float) -> None:
        for future, _ in self._held:
            future.end(DrainingError())


@dataclass(frozen=True)
class WordMaker:
    """Makes a `WordEngine`; `fault` names a step, made, load or warm_up, and what goes wrong in it."""

    name: ClassVar[EngineName] = EngineName.CHATTERBOX

    fault: tuple[str, str] | None = None

    def make(self) -> WordEngine:
        engine = WordEngine()
        if self.fault is not None:
            step, error = self.fault
            if step == "made":
                self._fail(error)
            setattr(engine, step, lambda: self._fail(error))
        return engine

    def _fail(self, error: str) -> None:
        if error == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("no error of ours") if error == "ValueError" else error_of(error)


class ServedTones(ToneEngine):
    """The test engine, which speaks every language."""

    def why_not(self, model: ModelName, language: str) -> str | None:
        return None


@dataclass(frozen=True)
class ToneMaker:
    """Makes the test engine."""

    name: ClassVar[EngineName] = EngineName.TONE

    def make(self) -> ServedTones:
        return ServedTones(num_threads=2)


def words(text: str, **fields: object) -> SegmentRequest:
    """Return a segment in English."""
    from engine_conformance import segment

    return replace(segment(text), **fields)  # type: ignore[arg-type]
