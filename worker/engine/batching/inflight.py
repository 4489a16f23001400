"""All utterances without an end, whatever stage they are in: who may come in, and who is told when all is over.

Knows nothing of the stages. Safe for use from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from worker.engine.batching.utterance import Utterance
from worker.engine.request import SegmentRequest, Take
from worker.errors import DrainingError, EngineFaultError, WorkerStartError

_BROKEN = "the engine of this process has failed and waits for the process to end"


class InFlight:
    """The register of the engine."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._utterances: dict[Future[Take], Utterance] = {}
        self._num_submitted = 0
        self._progress_s = clock()
        self.num_finished = 0
        self.is_open = False
        self.is_closed = False
        self.is_broken = False

    def open(self) -> None:
        """Let utterances in."""
        self.is_open = True

    def add(self, request: SegmentRequest) -> Utterance:
        """Register a request.

        Raises:
            WorkerStartError: before `open`.
            DrainingError: after `close`.
            EngineFaultError: after `break_down`.
        """
        with self._changed:
            if self.is_broken:
                raise EngineFaultError(_BROKEN, False)
            if self.is_closed:
                raise DrainingError
            if not self.is_open:
                raise WorkerStartError("the engine was given a segment before it was loaded")
            if not self._utterances:
                self._progress_s = self._clock()
            utterance = Utterance(request, self._num_submitted)
            self._num_submitted += 1
            self._utterances[utterance.future] = utterance
        utterance.future.add_done_callback(self._forget)
        return utterance

    def __len__(self) -> int:
        return len(self._utterances)

    def progress(self) -> None:
        """Note that something got on: an utterance went from one stage to the next.

        A launched step is no progress: a device that hangs takes launches for a while.
        """
        self._progress_s = self._clock()

    @property
    def stalled_s(self) -> float:
        """Seconds since the last progress; 0 when there is nothing to do."""
        with self._changed:
            return max(0.0, self._clock() - self._progress_s) if self._utterances else 0.0

    def close(self) -> list[Utterance]:
        """Let nobody in any more; return those that were not begun, for whoever closes to end."""
        with self._changed:
            self.is_closed = True
            return [utterance for utterance in self._utterances.values() if not utterance.future.running()]

    def break_down(self) -> list[Utterance] | None:
        """Let nobody in any more, because the engine is broken; return everyone who is in, None the second time."""
        with self._changed:
            if self.is_broken:
                return None
            self.is_broken = True
            return list(self._utterances.values())

    def wait_until_empty(self, timeout_s: float) -> list[Utterance]:
        """Wait for the last one to end; return those that have not in this time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._utterances, timeout_s)
            return list(self._utterances.values())

    def _forget(self, future: Future[Take]) -> None:
        with self._changed:
            self._utterances.pop(future, None)
            self.num_finished += not future.cancelled() and future.exception() is None
            self._progress_s = self._clock()
            self._changed.notify_all()
