"""One loaded Chatterbox model that speaks many segments at once: its decoder, its renderers, and the loop over them.

Knows nothing of files or of other models.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any, Literal

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.batching.fitting import Fit, fit, fit_frames, has_room_for_another
from worker.engine.batching.loop import BatchingLoop
from worker.engine.batching.settling import Sound
from worker.engine.capacity import MAX_POSITIONS, costs_of
from worker.engine.conditionalsshelf import ConditionalsShelf
from worker.engine.preparation import ChatterboxPreparation
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take
from worker.engine.s3gen.renderer import Renderer
from worker.engine.s3gen.turnstile import Turnstile
from worker.engine.streamedrenderer import StreamedRenderer
from worker.engine.t3.decoder import Decoder
from worker.engine.torchdevice import TorchDevice
from worker.errors import WorkerStartError
from worker.models.precision import Precision

logger = logging.getLogger(__name__)


class Speaker:
    """A `ChatterboxTTS` or `ChatterboxMultilingualTTS` of ours, at work.

    Attributes:
        model: the model; its S3Gen and voice encoder are used for new voices only.
        languages: codes of those that it speaks.
        capacity: slots and frames; on CUDA no more than a plan until `start` has seen what fits.
        loop: takes segments, once started.
    """

    loop: BatchingLoop

    def __init__(
        self,
        model: Any,
        *,
        device: Literal["cpu", "cuda"],
        precision: Precision,
        capacity: Fit,
        max_cached_voices: int,
        name: str,
        shelf: ConditionalsShelf | None = None,
        preparation: type[ChatterboxPreparation] = ChatterboxPreparation,
    ) -> None:
        """Take a model; it takes no memory but the model's until it is started.

        Args:
            model: loaded, its T3 on the device.
            device: where T3 is.
            precision: of T3; S3Gen's flow runs in half precision unless T3 is in full.
            capacity: slots and frames, at most.
            max_cached_voices: voices that are kept ready.
            name: of the threads.
            shelf: where voices are kept on disk.
            preparation: another one, for benchmarks.
        """
        self.model = model
        self.languages: frozenset[str] = model.languages
        self.capacity = capacity
        self._kind = device
        self._device = TorchDevice(device)
        self._precision: Precision = precision
        self._max_cached_voices = max_cached_voices
        self._name = name
        self._shelf = shelf
        self._preparation = preparation
        self._is_started = False

    def start(self, *, kept_bytes: int = 0) -> None:
        """Allocate, compile, capture, and take segments from then on; blocks. Does nothing the second time.

        Args:
            kept_bytes: free memory of the device that is others'.

        Raises:
            DeviceTooSmallError: not even one segment fits.
        """
        if self._is_started:
            return
        self._decoder = self._make_decoder(kept_bytes)
        self._renderers = self._make_renderers(kept_bytes)
        self.loop = BatchingLoop(
            preparation=self._preparation(
                self.model,
                most_tokens=self._decoder.most_tokens,
                max_cached_voices=self._max_cached_voices,
                shelf=self._shelf,
            ),
            decoder=self._decoder,
            renderers=self._renderers,
            device=self._device,
            sound=Sound(self.model.sr, is_watermarked=True),
            name=self._name,
        )
        self._is_started = True
        facts = {"num_slots": self.capacity.num_slots, "max_render_frames": self.capacity.max_frames}
        logger.info("speaker_fitted", extra={"speaker": self._name, **facts})
        self.loop.start()

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment.

        Raises:
            WorkerStartError: before `start`.
            DrainingError: after `close`.
            EngineFaultError: after a fault that only a new process mends.
        """
        if not self._is_started:
            raise WorkerStartError("the engine was given a segment before it was warm")
        return self.loop.submit(request)

    def health(self) -> EngineHealth:
        """Return how it does; not ready until it has been started."""
        if not self._is_started:
            return EngineHealth(is_ready=False, num_in_flight=0, num_finished=0, stalled_s=0.0)
        return self.loop.health()

    def close(self, timeout_s: float) -> None:
        """Take no more segments and wait for those being spoken."""
        if self._is_started:
            self.loop.close(timeout_s)

    def _make_decoder(self, kept_bytes: int) -> Decoder:
        """Return a decoder that is ready, of as many slots as fit beside a renderer."""
        planned = self.capacity
        if self._kind == "cuda":
            free_bytes = self._device.free_bytes() - kept_bytes
            costs = costs_of(self._precision)
            self.capacity = fit(free_bytes, costs, max_slots=planned.num_slots, max_frames=planned.max_frames)
        decoder = Decoder(
            self.model.t3,
            precision=self._precision,
            num_slots=self.capacity.num_slots,
            max_positions=MAX_POSITIONS,
            device=self._kind,
        )
        decoder.warm_up()
        return decoder

    def _make_renderers(self, kept_bytes: int) -> list[StreamedRenderer]:
        """Return renderers that are ready, of batches that fit beside the decoder: two where there is room for two."""
        num_slots, max_frames = self.capacity.num_slots, self.capacity.max_frames
        turnstile = Turnstile()
        if self._kind == "cpu":
            return [self._make_renderer(max_frames, turnstile)]
        costs = costs_of(self._precision)
        free_bytes = self._device.free_bytes() - kept_bytes
        max_frames = fit_frames(free_bytes, costs, num_slots, max_frames=max_frames)
        self.capacity = Fit(num_slots, max_frames)
        renderers = [self._make_renderer(max_frames, turnstile)]
        free_bytes = self._device.free_bytes() - kept_bytes
        if has_room_for_another(free_bytes, costs, num_slots, max_frames):
            renderers.append(self._make_renderer(max_frames, turnstile))
        # What warming up took and nobody needs any more, on streams that nobody launches on again.
        torch.cuda.empty_cache()
        return renderers

    def _make_renderer(self, max_frames: int, turnstile: Turnstile) -> StreamedRenderer:
        renderer = Renderer(
            self.model.s3gen,
            self.model.watermarker,
            device=self._kind,
            precision="fp32" if self._precision == "fp32" else "bf16",
            max_frames_per_batch=max_frames,
            turnstile=turnstile,
        )
        stream = torch.cuda.Stream() if self._kind == "cuda" else None  # type: ignore[no-untyped-call]
        streamed = StreamedRenderer(renderer, stream)
        streamed.warm_up()
        return streamed
