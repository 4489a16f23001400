"""A worker app whose tone engine breaks on certain texts; `celery -A faultyworker worker` runs it in tests.

The product has no such hooks: this module replaces what builds the engine before the app is imported.
"""

from __future__ import annotations

import os
from concurrent.futures import Future

from worker import process
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


process.build_engine = lambda name, settings: FaultyEngine(segment_s=settings.tone_segment_s)

from worker.app import app  # noqa: E402 - after the engine was replaced

__all__ = ["app"]
