"""How the engine does at this moment, in numbers that a person watches.

Knows nothing of where they are shown.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Self

#: Seconds over which rates are taken.
WINDOW_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Gauges:
    """One look at an engine."""

    num_slots: int
    num_slots_used: int
    #: Segments without a slot: being prepared, or waiting for one.
    num_queued: int
    #: Segments whose speech has ended and whose audio is not finished.
    num_rendering: int
    #: Speech tokens decoded per second, over the last ten seconds.
    tokens_per_s: float
    #: Seconds of finished audio per second, over the last ten seconds.
    audio_s_per_s: float
    #: Memory of the device that this process holds; 0 on a CPU.
    used_bytes: int

    @classmethod
    def total(cls, all_gauges: Iterable[Self]) -> Self | None:
        """Return the sum of several engines of one process; None of none."""
        known = list(all_gauges)
        if not known:
            return None
        return cls(
            num_slots=sum(gauges.num_slots for gauges in known),
            num_slots_used=sum(gauges.num_slots_used for gauges in known),
            num_queued=sum(gauges.num_queued for gauges in known),
            num_rendering=sum(gauges.num_rendering for gauges in known),
            tokens_per_s=sum(gauges.tokens_per_s for gauges in known),
            audio_s_per_s=sum(gauges.audio_s_per_s for gauges in known),
            # One process, one device: each of them has measured the same.
            used_bytes=max(gauges.used_bytes for gauges in known),
        )


class Rate:
    """So much of something per second, over a window that moves along. Safe for use from many threads."""

    def __init__(self, clock: Callable[[], float], window_s: float = WINDOW_S) -> None:
        self._clock = clock
        self._window_s = window_s
        self._lock = threading.Lock()
        #: (second, amount), oldest first; amounts of the same tenth of a second are one entry.
        self._amounts: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def add(self, amount: float) -> None:
        """Note that so much was done now."""
        second = round(self._clock(), 1)
        with self._lock:
            if self._amounts and self._amounts[-1][0] == second:
                second, before = self._amounts.pop()
                self._amounts.append((second, before + amount))
            else:
                self._amounts.append((second, amount))
            self._sum += amount

    def per_s(self) -> float:
        """Return the rate over the window that ends now."""
        since_s = self._clock() - self._window_s
        with self._lock:
            while self._amounts and self._amounts[0][0] < since_s:
                self._sum -= self._amounts.popleft()[1]
            if not self._amounts:
                self._sum = 0.0  # what rounding has left
            return self._sum / self._window_s
