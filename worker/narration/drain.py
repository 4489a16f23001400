"""Whether this process is going down, and how long it still waits for what it has begun."""

from __future__ import annotations

import time
from collections.abc import Callable


class Drain:
    """Set once by the signal handler, read by every thread; so it takes no lock."""

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_s = grace_s
        self._clock = clock
        self._begun_s: float | None = None

    def begin(self) -> None:
        """Take note that the process is going down; safe in a signal handler."""
        if self._begun_s is None:
            self._begun_s = self._clock()

    @property
    def is_on(self) -> bool:
        """Whether nothing new may be begun."""
        return self._begun_s is not None

    @property
    def is_over(self) -> bool:
        """Whether the time to finish what was begun is over."""
        return self.is_overdue(0.0)

    def is_overdue(self, margin_s: float) -> bool:
        """Say whether that time has been over for a while: something does not let go."""
        return self._begun_s is not None and self._clock() - self._begun_s >= self._grace_s + margin_s
