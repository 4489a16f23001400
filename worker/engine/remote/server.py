"""The engine process's own side: makes one engine and does with it what the worker process asks.

Orders that take long, the engine's making among them, run on the main thread, one at a time; segments come in on a
thread of their own, so that they can be given up at any moment. Knows nothing of which engine it is.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Final

from worker.engine.batching.takefuture import TakeFuture
from worker.engine.executor import place_of
from worker.engine.protocol import EngineHealth
from worker.engine.remote import portable
from worker.engine.remote.channel import Channel
from worker.engine.remote.facts import Facts, ServedEngine
from worker.engine.remote.messages import (
    Answer,
    Begun,
    Close,
    Ended,
    EngineMaker,
    GiveUp,
    Order,
    Report,
    Speak,
    ToEngine,
)
from worker.engine.remote.outbox import Outbox
from worker.engine.request import SegmentRequest, Take
from worker.errors import WorkerStartError

logger = logging.getLogger(__name__)

#: Seconds between two looks at the engine's health, which is sent when it has changed.
LOOK_S: Final = 0.25

#: Seconds after which it is sent even if it has not.
SEND_S: Final = 1.0

#: Seconds for the last messages to be read by the other side.
_FLUSH_S: Final = 5.0

#: Exit status of an engine process that nobody needs any more, or whose channel failed.
_ABANDONED_STATUS: Final = 1


class EngineServer:
    """Serves one engine on one channel, once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._outbox = Outbox(channel, name="engine-outbox")
        self._orders: queue.SimpleQueue[Order | Close] = queue.SimpleQueue()
        self._futures: dict[int, Future[Take]] = {}
        self._engine: ServedEngine | None = None
        self._sent: EngineHealth | None = None
        self._sent_s = 0.0

    def serve(self, maker: EngineMaker) -> None:
        """Make the engine and follow orders until `Close`; ends the process at once if the other side is gone."""
        threading.Thread(target=self._receive, name="engine-channel", daemon=True).start()
        self._answer(partial(self._make, maker))
        while True:
            try:
                order = self._orders.get(timeout=LOOK_S)
            except queue.Empty:
                self._report()
                continue
            if isinstance(order, Close):
                break
            self._answer(partial(self._follow, order))
        if self._engine is not None:
            self._engine.close(order.timeout_s)
        self._outbox.stop(_FLUSH_S)

    def _make(self, maker: EngineMaker) -> ServedEngine:
        self._engine = maker.make()
        return self._engine

    def _follow(self, order: Order) -> ServedEngine:
        engine = self._engine
        if engine is None:
            raise WorkerStartError("the engine was not made")
        if order is Order.LOAD:
            engine.load()
            # What libraries made while they were imported, a million objects, stays: a collection that walks over all
            # of them takes a third of a second, and warming up alone asks for several.
            gc.freeze()
        else:
            engine.warm_up()
        return engine

    def _answer(self, work: Callable[[], ServedEngine]) -> None:
        try:
            answer = Answer(Facts.of(work()))
        except BaseException as error:  # noqa: BLE001 - it is raised where the order came from
            answer = Answer(None, portable.of_start(error))
        self._outbox.put(answer)

    def _report(self) -> None:
        """Say how the engine does, if that is news."""
        if self._engine is None:
            return
        health, now_s = self._engine.health(), time.monotonic()
        if health != self._sent or now_s - self._sent_s >= SEND_S:
            self._sent, self._sent_s = health, now_s
            self._outbox.put(Report(health))

    def _receive(self) -> None:
        try:
            while True:
                self._take_in(self._channel.receive())
        except (EOFError, OSError):  # nobody is left who could want a take
            os._exit(_ABANDONED_STATUS)
        except BaseException as error:  # noqa: BLE001 - without this thread the process is of no use
            logger.critical("engine_channel_failed", extra={"error": place_of(error)})
            os._exit(_ABANDONED_STATUS)

    def _take_in(self, message: ToEngine) -> None:
        match message:
            case Speak(number, request):
                self._speak(number, request)
            case GiveUp(number):
                self._give_up(number)
            case Order() | Close():
                self._orders.put(message)

    def _speak(self, number: int, request: SegmentRequest) -> None:
        assert self._engine is not None, "segments come after the answer to the opening"
        try:
            future = self._engine.submit(request)
        except BaseException as error:  # noqa: BLE001 - it ends this segment and no other
            self._outbox.put(Ended(number, portable.of_segment(error)))
            return
        self._futures[number] = future
        if isinstance(future, TakeFuture):
            future.tell_begun(lambda: self._outbox.put(Begun(number)))
        future.add_done_callback(partial(self._end, number))

    def _give_up(self, number: int) -> None:
        future = self._futures.get(number)
        if isinstance(future, TakeFuture):
            future.abandon()
        elif future is not None:
            future.cancel()

    def _end(self, number: int, future: Future[Take]) -> None:
        self._futures.pop(number, None)
        try:
            outcome: Take | BaseException | None = future.result()
        except CancelledError:
            outcome = None
        except BaseException as error:  # noqa: BLE001 - it is raised where the segment came from
            outcome = portable.of_segment(error)
        try:
            self._outbox.put(Ended(number, outcome))
        except Exception as error:  # noqa: BLE001 - a take that cannot be taken apart
            self._outbox.put(Ended(number, portable.of_segment(error)))


def say_goodbye() -> None:
    """End the process without the interpreter's usual end: a device that is broken may hang or abort it."""
    with contextlib.suppress(Exception):
        logging.shutdown()
    os._exit(0)
