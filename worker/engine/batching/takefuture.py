"""The promise of a take: a Future that ends once, and that can be given up while its segment is being spoken.

Knows nothing of slots or threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError

from worker.engine.request import Take


class TakeFuture(Future[Take]):
    """A Future with one addition: `abandon`. `cancel` refuses, as everywhere, once the segment has been begun."""

    def __init__(self) -> None:
        super().__init__()
        # Guards against `begin` on one thread and `end` on another at the same moment, which Future itself forbids.
        self._turn = threading.RLock()
        self._is_abandoned = False
        self._on_begun: Callable[[], None] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for the take."""
        return not self._is_abandoned and not self.done()

    def abandon(self) -> None:
        """Ask the engine to give the segment up even if it has been begun; the future then ends as cancelled."""
        if not self.cancel():
            self._is_abandoned = True

    def begin(self) -> bool:
        """Take note that the segment is begun, once or again; return False if nobody wants it any more."""
        with self._turn:
            if self._is_abandoned or self.done():
                return False
            if self.running():
                return True
            # False after all if it was cancelled in between.
            is_begun = self.set_running_or_notify_cancel()
            if is_begun and self._on_begun is not None:
                self._on_begun()
            return is_begun

    def tell_begun(self, on_begun: Callable[[], None]) -> None:
        """Have a function called when the segment is begun for the first time, at once if it has been.

        It is called on the thread that begins, and must not block.
        """
        with self._turn:
            self._on_begun = on_begun
            if self.running():
                on_begun()

    def end(self, outcome: Take | BaseException) -> bool:
        """Give the future its end; return False if it has one already."""
        with self._turn:
            try:
                if isinstance(outcome, BaseException):
                    self.set_exception(outcome)
                else:
                    self.set_result(outcome)
            except InvalidStateError:
                return False
            return True

    def drop(self) -> None:
        """End it because nobody wants it; one that was cancelled has its end."""
        self.end(CancelledError())
