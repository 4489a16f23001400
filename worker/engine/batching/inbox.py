"""What one thread leaves for another: a queue that wakes its reader.

Knows nothing of what is in it.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """Many threads put, one takes; nothing here ever waits for a lock that work is done under."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()  # append and popleft are atomic
        #: Set when something has come, or when the reader is to look up for another reason.
        self.bell = threading.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Leave something and wake the reader."""
        self._items.append(item)
        self.bell.set()

    def take(self) -> Item | None:
        """Return what has lain longest; None if there is nothing."""
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def take_all(self) -> list[Item]:
        """Return everything, oldest first."""
        items = []
        while (item := self.take()) is not None:
            items.append(item)
        return items
