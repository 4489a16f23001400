"""The threads on which an engine speaks: from a request to a Future, in the order of submission.

Knows nothing of voices or models; what a segment sounds like is the function it is given.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Final

import numpy as np

from producer.contract.errors import ChatterqueueError
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take
from worker.errors import DrainingError, EngineFaultError, SegmentUnspeakableError, SynthesisError, WorkerStartError

logger = logging.getLogger(__name__)

_Job = tuple[SegmentRequest, Future[Take]]

_FAULTY: Final = "the engine of this process has failed and waits for the process to end"

#: Seconds that an idle thread waits before it looks whether the engine has been closed.
_IDLE_S: Final = 0.2


class SegmentExecutor:
    """Calls one function for each segment, on a fixed number of threads, and keeps count.

    Thread-safe. The threads are daemons: a call that hangs cannot keep the process from ending.
    """

    def __init__(self, speak: Callable[[SegmentRequest], Take], *, num_threads: int, name: str) -> None:
        self._speak = speak
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished: set[Future[Take]] = set()
        self._num_finished = 0
        self._last_progress_s = time.monotonic()
        self._is_started = False
        self._is_closed = False
        self._is_faulty = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(num_threads)
        ]

    def start(self) -> None:
        """Start the threads, once the engine is loaded."""
        self._is_started = True
        for thread in self._threads:
            thread.start()

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; returns at once.

        Raises:
            WorkerStartError: before `start`.
            DrainingError: after `close`.
            EngineFaultError: after a fault that only a new process mends.
        """
        future: Future[Take] = Future()
        with self._lock:
            if not self._is_started:
                raise WorkerStartError("the engine was given a segment before it was loaded")
            if self._is_closed:
                raise DrainingError
            if self._is_faulty:
                raise EngineFaultError(_FAULTY, False)
            if not self._unfinished:
                self._last_progress_s = time.monotonic()
            self._unfinished.add(future)
        future.add_done_callback(self._forget)
        self._jobs.put((request, future))
        return future

    def health(self) -> EngineHealth:
        """Return how it does; cheap, from any thread."""
        with self._lock:
            is_busy = bool(self._unfinished)
            return EngineHealth(
                is_ready=self._is_started and not self._is_closed and not self._is_faulty,
                num_in_flight=len(self._unfinished),
                num_finished=self._num_finished,
                stalled_s=time.monotonic() - self._last_progress_s if is_busy else 0.0,
                is_broken=self._is_faulty,
            )

    def close(self, timeout_s: float) -> None:
        """Take no more segments, fail those not begun with `DrainingError`, wait for those being spoken.

        What is still being spoken after `timeout_s` fails with `DrainingError` too, so that nobody waits for ever.
        """
        with self._lock:
            self._is_closed = True
        deadline_s = time.monotonic() + timeout_s
        while not self._jobs.empty():
            try:
                _, future = self._jobs.get_nowait()
            except queue.Empty:  # a thread was faster
                break
            if future.set_running_or_notify_cancel():
                future.set_exception(DrainingError())
        for thread in self._threads if self._is_started else ():
            thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._lock:
            abandoned = list(self._unfinished)
        for future in abandoned:
            _settle(future, error=DrainingError())

    def _run(self) -> None:
        while not self._is_closed:
            try:
                request, future = self._jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                continue
            self._work(request, future)

    def _work(self, request: SegmentRequest, future: Future[Take]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        self._mark_progress()
        if self._is_faulty:
            _settle(future, error=EngineFaultError(_FAULTY, False))
            return
        try:
            take = self._speak(request)
            check_audio(take)
        except EngineFaultError as error:
            with self._lock:
                self._is_faulty = True
            _settle(future, error=error)
        except ChatterqueueError as error:
            _settle(future, error=error)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: nothing that an engine raises takes its thread along
            logger.error("segment_crashed", extra={"error": place_of(error)})  # noqa: TRY400 - a message may hold text
            _settle(future, error=SynthesisError(f"the engine failed: {place_of(error)}"))
        else:
            with self._lock:
                self._num_finished += 1
            _settle(future, take=take)

    def _mark_progress(self) -> None:
        with self._lock:
            self._last_progress_s = time.monotonic()

    def _forget(self, future: Future[Take]) -> None:
        with self._lock:
            self._unfinished.discard(future)
            self._last_progress_s = time.monotonic()


def check_audio(take: Take) -> None:
    """Return if a take is audio; anything else would be stored under its hash and spoken for ever.

    Raises:
        SegmentUnspeakableError: it is empty.
        SynthesisError: it is not finite.
    """
    if len(take.pcm) == 0:
        raise SegmentUnspeakableError("the engine gave no audio for this segment")
    if not np.isfinite(take.pcm).all():
        raise SynthesisError("the engine gave audio that is not finite")


def place_of(error: BaseException) -> str:
    """Return an error's type and where it was raised, without its message, which may quote the text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file_name = trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1]
    return f"{type(error).__name__} in {file_name}:{trace.tb_lineno}"


def _settle(future: Future[Take], *, take: Take | None = None, error: ChatterqueueError | None = None) -> None:
    """Give a future its end, unless `close` or the speaking thread was faster."""
    try:
        if error is not None:
            future.set_exception(error)
        elif take is not None:
            future.set_result(take)
    except InvalidStateError:
        logger.info("take_too_late")
