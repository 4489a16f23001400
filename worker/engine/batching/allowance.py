"""How large a batch may be: as large as wanted until one fails, then half of that one, and after a while more again.

Knows nothing of what the batches are made of.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

#: Seconds that a limit is remembered before it is doubled. Memory that another process took comes back in minutes, and
#: each try that fails costs the speech of a batch.
MEMORY_S: Final = 60.0


class Allowance:
    """A limit on the size of batches; used by one thread."""

    def __init__(self, name: str, most: int, *, clock: Callable[[], float], memory_s: float = MEMORY_S) -> None:
        self._name = name
        self._most = most
        self._clock = clock
        self._memory_s = memory_s
        self._limit = most
        self._grows_s = 0.0

    @property
    def limit(self) -> int:
        """The largest batch that may be tried now; at least 1."""
        if self._limit < self._most and self._clock() >= self._grows_s:
            self._set(min(self._most, 2 * self._limit), "batch_limit_raised")
        return self._limit

    def shrink(self, failed_size: int) -> None:
        """Remember that a batch of this size failed: half of it is the limit for a while."""
        self._set(max(1, min(self._limit, failed_size) // 2), "batch_limit_lowered")

    def restore(self) -> None:
        """Forget the limit: what failed was one of the batch, and it has been found."""
        if self._limit < self._most:
            self._set(self._most, "batch_limit_raised")

    def _set(self, limit: int, event: str) -> None:
        self._limit = limit
        self._grows_s = self._clock() + self._memory_s
        logger.warning(event, extra={"batch": self._name, "limit": limit, "most": self._most})
