"""What an engine process has last said of its engine, and for how long it has said nothing.

Knows nothing of takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from worker.engine.protocol import EngineHealth

#: Seconds without a report after which the engine process counts as standing still; it sends one every second, and a
#: machine that is busy may be late.
SILENT_AFTER_S: Final = 3.0


class Reports:
    """The last report and its age. Safe for use from many threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = EngineHealth(is_ready=False, num_in_flight=0, num_finished=0, stalled_s=0.0)
        self._at_s = clock()

    def put(self, health: EngineHealth) -> None:
        """Take note of a report."""
        with self._lock:
            self._last, self._at_s = health, self._clock()

    def last(self) -> tuple[EngineHealth, float]:
        """Return the last report, and the seconds since then; 0 of those as long as the next may be on its way."""
        with self._lock:
            age_s = self._clock() - self._at_s
            return self._last, age_s if age_s > SILENT_AFTER_S else 0.0
