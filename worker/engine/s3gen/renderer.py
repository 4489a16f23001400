"""The face of S3Gen: speeches to watermarked audio, many at once.

Knows nothing of T3, queues or segments; `worker.engine.batching` decides what is rendered when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import torch  # noqa: TID253 - the renderer is loaded where the GPU is
from numpy.typing import NDArray

from worker.engine.s3gen.batch import GAP_FRAMES, MAX_SPEECHES
from worker.engine.s3gen.fetching import fetch
from worker.engine.s3gen.flow import make_flow
from worker.engine.s3gen.graphpool import GraphPool
from worker.engine.s3gen.hift import BUDGETS_FRAMES, Hift, VocoderPrecision
from worker.engine.s3gen.speech import Speech
from worker.engine.s3gen.turnstile import Turnstile
from worker.engine.s3gen.watermark import DEFAULT_MAX_HOPS, Watermark
from worker.errors import SynthesisError, WatermarkError

#: `fp32` gives what chatterbox-tts gives; `bf16` multiplies in bf16 where that is not heard.
RendererPrecision = Literal["fp32", "bf16"]

#: The vocoder's phases need float32; its convolutions take the rounding that chatterbox-tts gives them on a GPU.
_VOCODER_PRECISION: Final[dict[RendererPrecision, VocoderPrecision]] = {"fp32": "fp32", "bf16": "tf32"}

#: The vocoder needs ten times what the flow needs for a frame. So its rows are so much shorter than a batch, but no
#: shorter than the longest speech that T3 has room for; and so many frames of them are convolved at once.
_BATCH_PER_VOCODER_ROW: Final = 6
_LEAST_VOCODER_FRAMES: Final = 2_048
_BATCH_PER_WINDOW: Final = 12
_LEAST_WINDOW_FRAMES: Final = 512

#: Frames of a batch for each hop of the watermark whose transform is in memory at once, and the fewest of such hops.
_BATCH_PER_HOP: Final = 12
_LEAST_HOPS: Final = 512

#: Mel frames of a batch, prompts included: some 38 speeches of 15 s after prompts of 10 s.
DEFAULT_MAX_FRAMES: Final = 49_152


class Renderer:
    """Turns batches of speeches into audio; for one thread at a time, on the CUDA stream that is current there.

    Attributes:
        max_frames_per_batch: mel frames, those of the prompts included, beyond which a larger batch is no faster.
    """

    def __init__(
        self,
        s3gen: Any,
        watermarker: Any,
        *,
        device: torch.device | str,
        precision: RendererPrecision = "fp32",
        max_frames_per_batch: int = DEFAULT_MAX_FRAMES,
        turnstile: Turnstile | None = None,
    ) -> None:
        """Read the weights.

        Args:
            s3gen: `S3Gen` of chatterbox-tts on any device, in float32 and evaluation mode; left as it is. On another
                device than the renderer's it takes nothing there but what the renderer multiplies with.
            watermarker: a `perth.PerthImplicitWatermarker`.
            device: where to run.
            precision: see `RendererPrecision`.
            max_frames_per_batch: see above.
            turnstile: shared with other renderers of the process; each has a thread and a stream of its own.

        Raises:
            ModelLoadError: the model is another one, or in half precision.
            WatermarkError: the watermarker is not the real one.
        """
        self.max_frames_per_batch = max_frames_per_batch
        self._turnstile = turnstile or Turnstile()
        where = torch.device(device)
        max_packed_frames = max_frames_per_batch + GAP_FRAMES * MAX_SPEECHES
        self._flow = make_flow(
            s3gen.flow, device=where, precision=precision, max_frames=max_packed_frames, wait=self._turnstile.wait
        )
        self._hift = Hift(
            s3gen.mel2wav,
            s3gen.trim_fade,
            device=where,
            precision=_VOCODER_PRECISION[precision],
            budgets_frames=vocoder_budgets(max_frames_per_batch),
            window_frames=max(_LEAST_WINDOW_FRAMES, max_frames_per_batch // _BATCH_PER_WINDOW),
        )
        max_hops = min(max(_LEAST_HOPS, max_frames_per_batch // _BATCH_PER_HOP), DEFAULT_MAX_HOPS)
        self._watermark = Watermark(watermarker, device=where, max_hops=max_hops, wait=self._turnstile.wait)
        self._device = where

    def warm_up(self) -> None:
        """Compile kernels and capture graphs; flow and vocoder take turns, so their graphs share their memory."""
        pool = GraphPool(self._device) if self._device.type == "cuda" else None
        with self._turnstile:
            self._hift.warm_up(pool)
            self._flow.warm_up(pool)

    def render(self, speeches: Sequence[Speech]) -> list[NDArray[np.float32] | SynthesisError]:
        """Return the audio of each speech; a bad speech harms no other.

        Args:
            speeches: any number; more than a batch holds are rendered in several.

        Returns:
            At each place [S] float32 at 24 kHz, watermarked, or why there is none.
        """
        with self._turnstile:
            mels = self._flow.mels(speeches)
            spoken = [
                (mel, speech.seed)
                for mel, speech in zip(mels, speeches, strict=True)
                if not isinstance(mel, SynthesisError)
            ]
            samples = self._hift.samples([mel for mel, _ in spoken], [seed for _, seed in spoken])
            marked = iter(self._mark(samples))
            return [mel if isinstance(mel, SynthesisError) else next(marked) for mel in mels]

    def _mark(self, samples: Sequence[torch.Tensor]) -> list[NDArray[np.float32] | SynthesisError]:
        """Watermark what is finite; audio without a watermark is never returned."""
        if not samples:
            return []
        # One wait for the whole batch.
        are_finite = fetch(torch.stack([each.isfinite().all() for each in samples]), self._turnstile.wait).tolist()
        finite = [each for each, is_finite in zip(samples, are_finite, strict=True) if is_finite]
        try:
            marked: list[NDArray[np.float32] | SynthesisError] = list(self._watermark.apply(finite))
        except WatermarkError:
            marked = [self._mark_alone(each) for each in finite]
        rest = iter(marked)
        return [
            next(rest) if is_finite else SynthesisError("the vocoder gave no finite numbers")
            for is_finite in are_finite
        ]

    def _mark_alone(self, samples: torch.Tensor) -> NDArray[np.float32] | SynthesisError:
        try:
            return self._watermark.apply([samples])[0]
        except WatermarkError as error:
            return SynthesisError(f"the watermark did not hold: {error}")


def vocoder_budgets(max_frames: int) -> tuple[int, ...]:
    """Return the lengths of rows that the vocoder has graphs for, beside batches of so many frames."""
    longest = max(_LEAST_VOCODER_FRAMES, max_frames // _BATCH_PER_VOCODER_ROW)
    return tuple(budget for budget in BUDGETS_FRAMES if budget <= longest)
