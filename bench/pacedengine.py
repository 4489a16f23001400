"""An engine that computes nothing: it ends each segment when a real one would, with speech that was made before.

Knows nothing of who measures it. What it costs the process itself is one thread, whose CPU time it notes.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from producer.contract.narration import EngineName, ModelName
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take

RATE_HZ: Final = 24_000

#: Characters that it says in a second: fast for a reader, and segments of a made-up book are 8 s long.
CHARACTERS_PER_S: Final = 24.0

#: Seconds of quiet behind each take, and over which the speech before it fades.
_TAIL_S: Final = 0.15
_FADE_S: Final = 0.02

#: Seconds between two notes of how full it is.
NOTE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it is, and where things lie."""

    num_slots: int
    #: Seconds of speech that all slots together make in one.
    x_real_time: float
    #: Float32 samples of speech at `RATE_HZ`, a numpy file.
    sound: Path
    #: Where it notes how full it is, a line of JSON each.
    notes: Path


def speech_seconds(text: str) -> float:
    """Return how long a text takes to say."""
    return 0.3 + len(text) / CHARACTERS_PER_S


class PacedEngine:
    """An engine by the Protocol, one thread, whatever the number of its slots."""

    name = EngineName.DRAFT
    sample_rate_hz = RATE_HZ
    is_watermarked = False

    def __init__(self, pace: Pace) -> None:
        self.num_slots = pace.num_slots
        self._pace = pace
        self._sound = np.load(pace.sound)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[TakeFuture, SegmentRequest]] = deque()
        #: (second at which it ends, number, ...) of each slot that is used.
        self._speaking: list[tuple[float, int, TakeFuture, SegmentRequest]] = []
        self._num_begun = 0
        self._num_finished = 0
        #: Slots used times seconds, and the same of segments that wait for one.
        self._slot_s = self._queue_s = 0.0
        self._counted_until_s = time.monotonic()

    def load(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="paced-engine", daemon=True).start()

    def warm_up(self) -> None:
        """Do nothing."""

    def identity(self, model: ModelName) -> str:
        """Return a name that no other engine has."""
        return "paced/1"

    def submit(self, request: SegmentRequest) -> TakeFuture:
        """Queue a segment."""
        future = TakeFuture()
        with self._changed:
            self._count()
            self._waiting.append((future, request))
            if len(self._speaking) < self.num_slots:
                self._changed.notify()
        return future

    def health(self) -> EngineHealth:
        """Return that it is well."""
        return EngineHealth(
            is_ready=True, num_in_flight=len(self._speaking), num_finished=self._num_finished, stalled_s=0.0
        )

    def close(self, timeout_s: float) -> None:
        """Do nothing; its thread ends with the process."""

    def _count(self) -> None:
        now_s = time.monotonic()
        passed_s, self._counted_until_s = now_s - self._counted_until_s, now_s
        self._slot_s += passed_s * len(self._speaking)
        self._queue_s += passed_s * len(self._waiting)

    def _run(self) -> None:
        with self._pace.notes.open("a", buffering=1) as notes:
            noted_s = 0.0
            while True:
                with self._changed:
                    now_s = time.monotonic()
                    due_s = self._speaking[0][0] if self._speaking else now_s + NOTE_S
                    self._changed.wait(max(0.0, min(due_s - now_s, NOTE_S)))
                    ended = self._step(time.monotonic())
                for future, request in ended:
                    self._end(future, request)
                if time.monotonic() - noted_s >= NOTE_S:
                    noted_s = time.monotonic()
                    notes.write(json.dumps(self._note()) + "\n")

    def _step(self, now_s: float) -> list[tuple[TakeFuture, SegmentRequest]]:
        """Empty the slots whose time is over, fill them, and return what has ended."""
        self._count()
        ended = []
        while self._speaking and self._speaking[0][0] <= now_s:
            _, _, future, request = heapq.heappop(self._speaking)
            ended.append((future, request))
        while self._waiting and len(self._speaking) < self.num_slots:
            future, request = self._waiting.popleft()
            if future.begin():
                self._num_begun += 1
                busy_s = speech_seconds(request.text) * self.num_slots / self._pace.x_real_time
                heapq.heappush(self._speaking, (now_s + busy_s, self._num_begun, future, request))
        return ended

    def _end(self, future: TakeFuture, request: SegmentRequest) -> None:
        self._num_finished += 1
        pcm = self._speech(request)
        future.end(Take(pcm, RATE_HZ, request.seed, synthesis_s=len(pcm) / RATE_HZ / 400, is_watermarked=False))

    def _speech(self, request: SegmentRequest) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        num = round(speech_seconds(request.text) * RATE_HZ)
        begin = request.seed % (len(self._sound) - num)
        pcm = np.zeros(num + round(_TAIL_S * RATE_HZ), np.float32)
        pcm[:num] = self._sound[begin : begin + num]
        fade = round(_FADE_S * RATE_HZ)
        pcm[num - fade : num] *= np.linspace(1, 0, fade, dtype=np.float32)
        return pcm

    def _note(self) -> dict[str, float]:
        return {
            "at_s": time.time(),
            "speaking": len(self._speaking),
            "waiting": len(self._waiting),
            "num_finished": self._num_finished,
            "slot_s": self._slot_s,
            "queue_s": self._queue_s,
            "own_cpu_s": time.thread_time(),
        }
