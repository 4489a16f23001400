"""The tone engine of a chaos run: it notes every synthesis, and certain words in a text are poison.

Knows nothing of who reads the notes (`bench.chaos.executions`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from bench.chaos.orders import Orders
from producer.contract.keys import segment_key
from worker.engine.request import SegmentRequest, Take
from worker.engine.tone import ToneEngine, tone_hash
from worker.errors import SynthesisError


def _recurse() -> Any:
    return _recurse()


def _raise(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def poison() -> None:
        raise error()

    return poison


#: Word of a text -> what its synthesis does.
POISONS: dict[str, Callable[[], Any]] = {
    "poisonkill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "poisonsegv": lambda: ctypes.string_at(0),
    "poisonexit": lambda: os._exit(3),
    "poisonhang": lambda: time.sleep(86_400),
    "poisonmemory": _raise(MemoryError),
    "poisonsystemexit": _raise(SystemExit),
    "poisoninterrupt": _raise(KeyboardInterrupt),
    "poisonrecursion": _recurse,
    "poisonerror": _raise(lambda: SynthesisError("it stuttered")),
}

#: Those that end the process, or keep it from ending anything.
KILLERS = frozenset({"poisonkill", "poisonsegv", "poisonexit", "poisonhang"})


class FaultEngine(ToneEngine):
    """Takes `segment_s` for each segment, one at a time, as a GPU would."""

    def __init__(self, orders: Orders) -> None:
        super().__init__(segment_s=orders.segment_s, num_threads=1)
        #: Key of a segment in S3 -> what it says.
        self._said: dict[str, str] = {}
        self._notes = os.open(orders.folder / "executions", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _speak(self, request: SegmentRequest) -> Take:
        said = tone_hash(request.text)
        self._said[segment_key(request.content_hash(self.identity(request.model)))] = said
        self._begun(said)
        for word, poison in POISONS.items():
            if word in request.text:
                poison()
        take = super()._speak(request)
        self._note("end", said)
        return take

    def note_stored(self, key: str) -> None:
        """Note that an object is stored, if it is a segment that this process has spoken."""
        said = self._said.get(key)
        if said is not None:
            self._note("stored", said)

    def _begun(self, said: str) -> None:
        self._note("begin", said)

    def _note(self, event: str, said: str) -> None:
        """Write one line; appended in one call, so that processes do not write into each other's lines."""
        os.write(self._notes, f"{event} {said} {os.getpid()} {time.monotonic():.4f}\n".encode())
