"""Which rows of the cache are free. Knows nothing of what is in them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class RowPool:
    """Hands out rows, the lowest first."""

    def __init__(self, num_rows: int) -> None:
        """Begin with all rows free."""
        self._free = list(range(num_rows))

    @property
    def num_free(self) -> int:
        """How many can be taken."""
        return len(self._free)

    def take(self, num_rows: int) -> tuple[int, ...]:
        """Take that many rows; they must be there."""
        assert num_rows <= len(self._free)
        return tuple(heapq.heappop(self._free) for _ in range(num_rows))

    def give_back(self, rows: Iterable[int]) -> None:
        """Free rows that were taken."""
        for row in rows:
            heapq.heappush(self._free, row)
