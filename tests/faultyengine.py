"""A tone engine that breaks on certain texts, and its description for an engine process."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar

from producer.contract.narration import EngineName, ModelName
from worker.engine.request import SegmentRequest, Take
from worker.engine.tone import ToneEngine
from worker.errors import EngineFaultError, SynthesisError

ERRORS = {
    "memory": MemoryError,
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "recursion": RecursionError,
    "generator": GeneratorExit,
    "stutter": lambda: SynthesisError("it stuttered"),
    "fault": lambda: EngineFaultError("a device-side assert"),
}


class FaultyEngine(ToneEngine):
    """Raises what a word of the text names, at once or with `later` behind it in the future that a task waits for.

    `die` ends the process as a crash in native code does.
    """

    def submit(self, request: SegmentRequest) -> Future[Take]:
        if " die " in request.text:
            os._exit(139)
        for word, error in ERRORS.items():
            if f" {word} later " in request.text:
                future: Future[Take] = Future()
                future.set_exception(error())
                return future
            if f" {word} " in request.text:
                raise error()
        return super().submit(request)

    def why_not(self, model: ModelName, language: str) -> str | None:
        return None


@dataclass(frozen=True)
class FaultyMaker:
    """Makes a `FaultyEngine` in an engine process."""

    name: ClassVar[EngineName] = EngineName.TONE
    segment_s: float

    def make(self) -> FaultyEngine:
        return FaultyEngine(segment_s=self.segment_s)
