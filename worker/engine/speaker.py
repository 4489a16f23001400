"""One loaded Chatterbox model that speaks many segments at once: its decoder, its renderer, and the loop over both.

Knows nothing of files or of other models.
"""

from __future__ import annotations

from typing import Any, Literal

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.batching.fitting import Fit
from worker.engine.batching.loop import BatchingLoop
from worker.engine.batching.settling import Sound
from worker.engine.capacity import MAX_POSITIONS
from worker.engine.preparation import ChatterboxPreparation
from worker.engine.s3gen.renderer import Renderer
from worker.engine.streamedrenderer import StreamedRenderer
from worker.engine.t3.decoder import Decoder
from worker.engine.torchdevice import TorchDevice
from worker.models.precision import Precision


class Speaker:
    """A `ChatterboxTTS` or `ChatterboxMultilingualTTS` of ours, at work."""

    def __init__(
        self,
        model: Any,
        *,
        device: Literal["cpu", "cuda"],
        precision: Precision,
        capacity: Fit,
        max_cached_voices: int,
        name: str,
        preparation: type[ChatterboxPreparation] = ChatterboxPreparation,
    ) -> None:
        """Allocate everything that speaking needs.

        Args:
            model: loaded, on the device.
            device: where it is.
            precision: of T3; S3Gen's flow runs in half precision unless T3 is in full.
            capacity: slots and frames.
            max_cached_voices: voices that are kept ready.
            name: of the threads.
            preparation: another one, for benchmarks.
        """
        self.model = model
        self.languages: frozenset[str] = model.languages
        self._decoder = Decoder(
            model.t3,
            precision=precision,
            num_slots=capacity.num_slots,
            max_positions=MAX_POSITIONS,
            device=device,
        )
        renderer = Renderer(
            model.s3gen,
            model.watermarker,
            device=device,
            precision="fp32" if precision == "fp32" else "bf16",
            max_frames_per_batch=capacity.max_frames,
        )
        stream = torch.cuda.Stream() if device == "cuda" else None  # type: ignore[no-untyped-call]
        self._renderer = StreamedRenderer(renderer, stream)
        self._is_started = False
        self.loop = BatchingLoop(
            preparation=preparation(model, most_tokens=self._decoder.most_tokens, max_cached_voices=max_cached_voices),
            decoder=self._decoder,
            renderer=self._renderer,
            device=TorchDevice(device),
            sound=Sound(model.sr, is_watermarked=True),
            name=name,
        )

    def start(self) -> None:
        """Compile, capture, and take segments from then on; blocks. Does nothing the second time."""
        if self._is_started:
            return
        self._is_started = True
        self._decoder.warm_up()
        self._renderer.warm_up()
        self.loop.start()
