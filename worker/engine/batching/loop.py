"""The engine's threads and what they share: from a request to a Future, as many at once as there are slots.

    submit -> prepare (host) -> decode (slots) -> render (frames), by one or several renderers -> settle (futures)

Each thread takes turns at one stage, and a stage hands on through the inbox of the next; so whatever holds one up
holds up no other. Knows decoder, renderers and preparation by their ports only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from worker.engine.batching.decodepolicy import DecodePolicy
from worker.engine.batching.decoding import Decoding
from worker.engine.batching.failure import keep_wreckage
from worker.engine.batching.gauges import Gauges, Rate
from worker.engine.batching.inflight import InFlight
from worker.engine.batching.ports import Decoder, Device, Preparation, Renderer
from worker.engine.batching.preparing import Preparing
from worker.engine.batching.rendering import Rendering
from worker.engine.batching.renderqueue import RenderQueue, patience_s
from worker.engine.batching.settling import Settling, Sound
from worker.engine.batching.stageclock import StageClock
from worker.engine.batching.stagethread import Stage, StageThread
from worker.engine.executor import place_of
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take
from worker.errors import DrainingError, EngineFaultError

logger = logging.getLogger(__name__)

#: Seconds that `close` waits for all threads to end their last turn; one that hangs in a call is left behind.
_JOIN_S: Final = 3.0


class BatchingLoop:
    """Speaks what is submitted. Thread-safe; `start` begins, `close` ends, in between nothing blocks."""

    def __init__(
        self,
        *,
        preparation: Preparation,
        decoder: Decoder,
        renderers: Sequence[Renderer],
        device: Device,
        sound: Sound,
        policy: DecodePolicy | None = None,
        render_patience_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str = "engine",
    ) -> None:
        self._decoder = decoder
        self._device = device
        self._tokens = Rate(clock)
        self._audio_s = Rate(clock)
        self._in_flight = InFlight(clock)
        stage_clock = StageClock(clock)
        self.settling = Settling(sound, audio_s=self._audio_s)
        self.decoding = Decoding(
            decoder,
            device,
            policy=policy or DecodePolicy.for_slots(decoder.num_slots),
            clock=clock,
            stage_clock=stage_clock,
            tokens=self._tokens,
            num_rendering=lambda: self.render_queue.num_rendering,
            hand_on=lambda utterance, tokens: self.render_queue.put(utterance, tokens),
            settle=self.settling.settle,
            on_progress=self._in_flight.progress,
        )
        self.render_queue = RenderQueue(
            device,
            max_frames=min(renderer.max_frames_per_batch for renderer in renderers),
            clock=clock,
            num_speaking=lambda: self.decoding.scheduler.num_speaking,
            speak_again=self.decoding.speak_again,
            settle=self.settling.settle,
            patience_s=patience_s(decoder.num_slots) if render_patience_s is None else render_patience_s,
        )
        self.renderings = [
            Rendering(
                renderer,
                self.render_queue,
                device,
                name=f"render-{number}",
                stage_clock=stage_clock,
                on_progress=self._in_flight.progress,
            )
            for number, renderer in enumerate(renderers)
        ]
        self.preparing = Preparing(
            preparation, decoder, device, hand_on=self.decoding.inbox.put, settle=self.settling.settle
        )
        stages: dict[str, Stage] = {"prepare": self.preparing, "decode": self.decoding, "settle": self.settling}
        stages |= {rendering.name: rendering for rendering in self.renderings}
        self._threads = [
            StageThread(stage, name=f"{name}-{work}", on_crash=self.break_down) for work, stage in stages.items()
        ]

    def start(self) -> None:
        """Take segments from now on."""
        self.open()
        for thread in self._threads:
            thread.start()

    def open(self) -> None:
        """Let segments in, and leave the turns to the caller."""
        self._in_flight.open()

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; returns at once. The future is a `TakeFuture`, which can be abandoned.

        Raises:
            WorkerStartError: before `start`.
            DrainingError: after `close`.
            EngineFaultError: after a fault that only a new process mends.
        """
        utterance = self._in_flight.add(request)
        self.preparing.inbox.put(utterance)
        return utterance.future

    def health(self) -> EngineHealth:
        """Return how it does; cheap, from any thread."""
        in_flight = self._in_flight
        return EngineHealth(
            is_ready=in_flight.is_open and not in_flight.is_closed and not in_flight.is_broken,
            num_in_flight=len(in_flight),
            num_finished=in_flight.num_finished,
            stalled_s=in_flight.stalled_s,
            is_broken=in_flight.is_broken,
            gauges=self.gauges(),
        )

    def gauges(self) -> Gauges:
        """Return what a person watches."""
        num_speaking = self.decoding.scheduler.num_speaking
        num_rendering = self.render_queue.num_rendering
        return Gauges(
            num_slots=self._decoder.num_slots,
            num_slots_used=num_speaking,
            # Each number is read at another moment; an utterance may change stage in between.
            num_queued=max(0, len(self._in_flight) - num_speaking - num_rendering),
            num_rendering=num_rendering,
            tokens_per_s=self._tokens.per_s(),
            audio_s_per_s=self._audio_s.per_s(),
            used_bytes=self._device.used_bytes(),
        )

    def break_down(self, error: BaseException) -> None:
        """Give up, because only a new process can go on: every future fails with `EngineFaultError`, at once."""
        keep_wreckage(error)
        if not isinstance(error, EngineFaultError):  # a bug of ours, in a stage itself
            error = EngineFaultError(f"a thread of the engine ended: {place_of(error)}")
        utterances = self._in_flight.break_down()
        if utterances is None:
            return
        logger.critical("engine_broken", extra={"reason": str(error), "num_in_flight": len(utterances)})
        for thread in self._threads:
            thread.stop()
        for utterance in utterances:
            utterance.future.end(EngineFaultError(str(error), utterance.future.running()))

    def close(self, timeout_s: float) -> None:
        """Take no more segments, fail those not begun with `DrainingError`, wait for those being spoken.

        What is not finished after `timeout_s` fails with `DrainingError` too, so that nobody waits for ever.
        """
        for utterance in self._in_flight.close():
            utterance.future.end(DrainingError())
        for utterance in self._in_flight.wait_until_empty(timeout_s):
            utterance.future.end(DrainingError())
        for thread in self._threads:
            thread.stop()
        # A device that is broken or hangs does not let its threads go, and the process has to end.
        ends_s = time.monotonic() + _JOIN_S
        are_ended = [thread.join(max(0.0, ends_s - time.monotonic())) for thread in self._threads]
        if not all(are_ended):
            logger.error("engine_thread_left", extra={"num_threads": are_ended.count(False)})
