"""Waits of many threads for takes, looked after by one: it wakes those whose lease was lost or whose process drains.

Knows nothing of what makes a take, and nothing of who loses leases.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from producer.contract.errors import ChatterqueueError
from worker.engine.batching.takefuture import TakeFuture
from worker.errors import DrainingError
from worker.narration.lease import Lease

#: Seconds between two looks at whether the process is going down or leases were lost.
LOOK_S: Final = 0.25

logger = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")


class _Wait:
    """One thread's wait for one future."""

    def __init__(self, future: Future[Any], lease: Lease) -> None:
        self.future = future
        self.is_over = threading.Event()
        #: Why it was given up.
        self.error: ChatterqueueError | None = None
        self._lease = lease

    def look(self) -> None:
        """Give the future up if the take is of no use any more."""
        if self._lease.drain.is_on and self.future.cancel():
            return  # which wakes the thread
        try:
            self._lease.check()
        except ChatterqueueError as error:
            self.error = error
            # Even if it has been begun: an engine that speaks many at once has a better use for the slot.
            self.future.abandon() if isinstance(self.future, TakeFuture) else self.future.cancel()
            self.is_over.set()


class Lookout:
    """Lets threads wait. Safe for use from many threads; its own thread is there only while somebody waits.

    Were each thread to look for itself, hundreds of them would wake up thousands of times a second for nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: set[_Wait] = set()
        self._is_looking = False

    def wait(self, future: Future[Outcome], lease: Lease) -> Outcome:
        """Return what comes of a take, or of listening to it.

        Raises:
            DrainingError: the process is going down and the take was not begun, or will not be ready in time.
            LeaseLostError: the item is no longer ours. Whatever the future ends with comes through too.
        """
        wait = _Wait(future, lease)
        future.add_done_callback(lambda _: wait.is_over.set())
        self._add(wait)
        try:
            wait.is_over.wait()
        finally:
            with self._lock:
                self._waits.discard(wait)
        if wait.error is not None:
            raise wait.error
        try:
            return future.result()
        except CancelledError:  # by a drain, or the engine was closed under us
            raise DrainingError from None

    def _add(self, wait: _Wait) -> None:
        with self._lock:
            self._waits.add(wait)
            if self._is_looking:
                return
            self._is_looking = True
        threading.Thread(target=self._look_until_idle, name="lookout", daemon=True).start()

    def _look_until_idle(self) -> None:
        while True:
            time.sleep(LOOK_S)
            with self._lock:
                waits = list(self._waits)
                if not waits:
                    self._is_looking = False
                    return
            for wait in waits:
                try:
                    wait.look()
                except Exception as error:
                    # This thread must outlive a future that cannot be given up; the others still need it.
                    logger.exception("lookout_failed", exc_info=False, extra={"error": type(error).__name__})
