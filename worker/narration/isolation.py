"""Who may work in this process at the same time: many items, or one that is suspected of ending processes.

Knows nothing of the ledger; threads ask it before they claim.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

#: Seconds between two looks at whether it still makes sense to wait.
LOOK_S: Final = 0.25


class Isolation:
    """Lets any number of threads in together, or one alone. Safe for use from threads; not reentrant.

    Whoever wants to be alone goes first: nobody is let in any more until it has been. Several of them come one after
    the other, so what is in work has to end only once for all of them. Only for work that takes long it waits without
    keeping others out: an engine shall not stand still for the minutes in which a book is assembled.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._num_inside = 0
        self._num_long = 0
        self._num_awaiting = 0
        self._is_one_alone = False

    @contextmanager
    def together(self, check: Callable[[], None], *, is_long: bool = False) -> Iterator[None]:
        """Be inside together with others; waits while one is alone, or wants to be.

        Args:
            check: called now and then while it waits; what it raises ends the wait.
            is_long: whether it may stay for minutes.
        """
        with self._changed:
            self._wait_until(lambda: not self._is_one_alone and not self._num_awaiting, check)
            self._num_inside += 1
            self._num_long += is_long
        try:
            yield
        finally:
            with self._changed:
                self._num_inside -= 1
                self._num_long -= is_long
                self._changed.notify_all()

    @contextmanager
    def alone(self, check: Callable[[], None]) -> Iterator[None]:
        """Be the only one inside; waits until everybody else has left."""
        with self._changed:
            self._wait_until(lambda: not self._num_long, check)
            self._num_awaiting += 1
            try:
                self._wait_until(lambda: not self._is_one_alone and not self._num_inside, check)
            finally:
                self._num_awaiting -= 1
                self._changed.notify_all()
            self._is_one_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_one_alone = False
                self._changed.notify_all()

    def _wait_until(self, is_free: Callable[[], bool], check: Callable[[], None]) -> None:
        while not is_free():
            check()
            self._changed.wait(LOOK_S)
