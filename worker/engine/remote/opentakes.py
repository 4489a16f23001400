"""The takes that a worker process waits for: who may come in, and who is told when all is over.

Knows nothing of the process that makes them. Safe for use from many threads.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Final

from worker.engine.remote.remotefuture import RemoteFuture
from worker.engine.request import Take
from worker.errors import DrainingError, EngineFaultError, WorkerStartError

_BROKEN: Final = "the engine of this process has failed and waits for the process to end"


class OpenTakes:
    """The register of the worker process's side."""

    def __init__(self, give_up: Callable[[int], None]) -> None:
        """Take what is called with the number of a take that nobody wants any more."""
        self._give_up = give_up
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._futures: dict[int, RemoteFuture] = {}
        self.num_finished = 0
        self.is_open = False
        self.is_closed = False
        self.is_broken = False

    def open(self, num_finished: int) -> None:
        """Let segments in; so many takes were made before the first of them, to warm up."""
        self.num_finished = num_finished
        self.is_open = True

    def add(self) -> tuple[int, RemoteFuture]:
        """Register a segment.

        Raises:
            WorkerStartError: before `open`.
            DrainingError: after `close`.
            EngineFaultError: after `break_down`.
        """
        with self._lock:
            if self.is_closed:
                raise DrainingError
            if self.is_broken:
                raise EngineFaultError(_BROKEN, False)
            if not self.is_open:
                raise WorkerStartError("the engine was given a segment before it was warm")
            number = next(self._numbers)
            future = self._futures[number] = RemoteFuture(lambda: self._give_up(number))
        future.add_done_callback(lambda _: self._forget(number))
        return number, future

    def __len__(self) -> int:
        return len(self._futures)

    def begin(self, number: int) -> None:
        """Note that the engine has begun to speak it."""
        future = self._futures.get(number)
        if future is not None:
            future.begin()

    def end(self, number: int, outcome: Take | BaseException | None) -> None:
        """Give it its end, unless it was cancelled."""
        if isinstance(outcome, EngineFaultError):
            self.is_broken = True
        with self._lock:
            future = self._futures.pop(number, None)
            self.num_finished += future is not None and isinstance(outcome, Take)
        if future is not None:
            future.end(CancelledError() if outcome is None else outcome)

    def close(self) -> None:
        """Let nobody in any more."""
        with self._lock:
            self.is_closed = True

    def break_down(self) -> None:
        """Let nobody in any more, because the engine is broken; who is in is told by the engine."""
        with self._lock:
            self.is_broken = True

    def end_all(self, error_of: Callable[[], BaseException]) -> int:
        """End whatever is still open with an error each; return how many there were."""
        with self._lock:
            futures = list(self._futures.values())
            self._futures.clear()
        for future in futures:
            future.end(error_of())
        return len(futures)

    def _forget(self, number: int) -> None:
        with self._lock:
            self._futures.pop(number, None)
