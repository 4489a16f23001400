"""Whose time it is: the seconds in which the engine worked, divided between decoding and rendering.

Both run at once on one device. Seconds in which both do count half for each, so that the shares of all takes add up
to the time in which the engine was busy, and to no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StageClock:
    """Divides busy seconds between stages, each known by its name. Safe for use from their threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._active: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._changed_s = clock()

    @contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """Count the time of a block for a stage."""
        self._change(self._active.add, stage)
        try:
            yield
        finally:
            self._change(self._active.discard, stage)

    def take(self, stage: str) -> float:
        """Return the seconds of a stage since the last call."""
        with self._lock:
            return self._seconds.pop(stage, 0.0)

    def _change(self, change: Callable[[str], None], stage: str) -> None:
        with self._lock:
            now_s = self._clock()
            for active in self._active:
                share_s = (now_s - self._changed_s) / len(self._active)
                self._seconds[active] = self._seconds.get(active, 0.0) + share_s
            self._changed_s = now_s
            change(stage)
