"""The worker process's side of an engine process: looks like any other engine, and costs this process next to nothing.

Knows nothing of Celery, the ledger or which engine it is. It imports no torch; the engine process does.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from producer.contract.narration import EngineName, ModelName
from worker.engine.executor import place_of
from worker.engine.protocol import EngineHealth
from worker.engine.remote.channel import Channel
from worker.engine.remote.childprocess import ChildProcess
from worker.engine.remote.facts import Facts
from worker.engine.remote.messages import (
    Answer,
    Begun,
    Close,
    Ended,
    EngineMaker,
    FromEngine,
    GiveUp,
    Opening,
    Order,
    Report,
    Speak,
    ToEngine,
)
from worker.engine.remote.opentakes import OpenTakes
from worker.engine.remote.outbox import Outbox
from worker.engine.remote.reports import Reports
from worker.engine.request import SegmentRequest, Take
from worker.errors import DrainingError, EngineFaultError

logger = logging.getLogger(__name__)

#: Seconds that an engine process gets beyond those for its segments: to let go of a device that hangs, and to end.
_END_S: Final = 6.0

#: Seconds for a process that has closed its channel to be gone.
_GONE_S: Final = 1.0


class EngineProcess:
    """An engine in a process of its own. The process is started when the first thing is asked of it."""

    def __init__(
        self, maker: EngineMaker, *, log_level: str = "INFO", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the engine's description; nothing is started yet.

        Args:
            maker: makes the engine in its process.
            log_level: of that process.
            clock: tells how long it has been silent.
        """
        self._maker = maker
        self._log_level = log_level
        self.name: EngineName = maker.name
        self._takes = OpenTakes(self._give_up)
        self._reports = Reports(clock)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._turn = threading.RLock()
        self._facts: Facts | None = None
        self._child: ChildProcess | None = None
        self._channel: Channel | None = None
        self._outbox: Outbox | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The engine process's id; None before it is started."""
        return None if self._child is None else self._child.pid

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of every take."""
        return self._known().sample_rate_hz

    @property
    def is_watermarked(self) -> bool:
        """Whether every take carries the Perth watermark."""
        return self._known().is_watermarked

    @property
    def num_slots(self) -> int:
        """How many segments it works on at once; planned until it is warm.

        Raises:
            WorkerStartError: it cannot work on any.
        """
        return self._known().num_slots

    def load(self) -> None:
        """Load and check everything, once per process; blocks. Raises as the engine itself does.

        Raises:
            EngineFaultError: the engine process ended.
        """
        self._ask(Order.LOAD)

    def warm_up(self) -> None:
        """Speak once; blocks. Raises as the engine itself does.

        Raises:
            EngineFaultError: the engine process ended.
        """
        facts = self._ask(Order.WARM_UP)
        if not self._takes.is_open:
            self._takes.open(facts.health.num_finished)

    def identity(self, model: ModelName) -> str:
        """Return what decides the sound beside the request.

        Raises:
            EngineUnavailableError: if this engine does not have that model.
            DrainingError: after `close`.
        """
        return self._taken_on().identity(model)

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; see `worker.engine.protocol.Engine.submit`. The future is a `TakeFuture`."""
        self._taken_on().require(request.model, request.language)
        number, future = self._takes.add()
        self._send(Speak(number, request))
        return future

    def health(self) -> EngineHealth:
        """Return how it does, by what it has last said; a process that says nothing makes no progress."""
        takes = self._takes
        report, silent_s = self._reports.last()
        is_on = takes.is_open and not takes.is_closed
        return replace(
            report,
            is_ready=is_on and report.is_ready and not takes.is_broken,
            num_in_flight=len(takes),
            num_finished=takes.num_finished,
            stalled_s=(report.stalled_s if len(takes) else 0.0) + (silent_s if is_on else 0.0),
            is_broken=takes.is_broken,
        )

    def close(self, timeout_s: float) -> None:
        """Take no more segments, wait for those being spoken, and see that the process is gone."""
        with self._turn:
            self._takes.close()
            child = self._child
        if child is None:
            return
        self._send(Close(timeout_s))
        if not child.wait(timeout_s + _END_S):
            is_gone = child.kill()
            logger.error("engine_process_killed", extra={"engine_pid": child.pid, "is_gone": is_gone})
        self._let_go()

    def _taken_on(self) -> Facts:
        """Return what is known of the engine, if it takes segments.

        Raises:
            DrainingError: after `close`.
        """
        if self._takes.is_closed:
            raise DrainingError
        return self._known()

    def _known(self) -> Facts:
        """Return what is known of the engine, also after its end; the first time its process is started and asked."""
        facts = self._facts
        if facts is not None:
            return facts
        with self._turn:
            if self._takes.is_closed:
                raise DrainingError
            if self._facts is None:
                self._start()
                self._facts = self._answered()
            return self._facts

    def _start(self) -> None:
        self._child, end = ChildProcess.start()
        logger.info("engine_process_started", extra={"engine_pid": self._child.pid})
        self._channel = Channel(end)
        self._outbox = Outbox(self._channel, name="engine-outbox")
        self._reader = threading.Thread(
            target=self._receive, args=(self._channel, self._child), name="engine-channel", daemon=True
        )
        self._reader.start()
        self._send(Opening(self._maker, self._log_level))

    def _ask(self, order: Order) -> Facts:
        with self._turn:
            self._taken_on()
            self._send(order)
            self._facts = self._answered()
            return self._facts

    def _answered(self) -> Facts:
        answer = self._answers.get()
        if answer.facts is None:
            # It is of no use, and would keep the memory that whoever comes next needs.
            self._takes.close()
            if self._child is not None:
                self._child.kill()
            self._let_go()
            assert answer.error is not None
            raise answer.error
        self._reports.put(answer.facts.health)
        return answer.facts

    def _send(self, message: ToEngine) -> None:
        assert self._outbox is not None, "the process is started before anything is said to it"
        self._outbox.put(message)

    def _give_up(self, number: int) -> None:
        self._send(GiveUp(number))

    def _receive(self, channel: Channel, child: ChildProcess) -> None:
        """Take in what the process says until it says no more: the life of the reading thread."""
        try:
            while True:
                self._take_in(channel.receive())
        except (EOFError, OSError):
            pass
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody listens any more
            logger.critical("engine_channel_failed", extra={"error": place_of(error)})
            child.kill()
        self._end_of(child)

    def _take_in(self, message: FromEngine) -> None:
        match message:
            case Begun(number):
                self._takes.begin(number)
            case Ended(number, outcome):
                self._takes.end(number, outcome)
            case Report(health):
                self._reports.put(health)
                if health.is_broken:
                    self._takes.break_down()
            case Answer():
                self._answers.put(message)

    def _end_of(self, child: ChildProcess) -> None:
        """Tell everyone who waits that nothing more will come.

        A process that ended without a word may have been ended by any segment that it held, also by one that it was
        only preparing; so all of them count as begun, as they do when a worker process ends.
        """
        if not child.wait(_GONE_S):
            child.kill()
        if self._takes.is_closed:
            self._takes.end_all(DrainingError)
            self._answers.put(Answer(None, DrainingError()))
            return
        reason = f"the engine process {child.how_it_ended()}"
        self._takes.break_down()
        num_in_flight = self._takes.end_all(lambda: EngineFaultError(reason))
        fields = {"engine_pid": child.pid, "reason": reason, "num_in_flight": num_in_flight}
        logger.critical("engine_process_ended", extra=fields)
        self._answers.put(Answer(None, EngineFaultError(reason)))

    def _let_go(self) -> None:
        """End our threads and our end of the channel; the process is gone, or as good as gone."""
        if self._reader is not None:
            self._reader.join(_GONE_S)
        self._takes.end_all(DrainingError)
        if self._outbox is not None:
            self._outbox.stop(_GONE_S)
        if self._channel is not None:
            self._channel.close()
