"""One loaded Chatterbox model that speaks one segment at a time.

Knows nothing of threads or futures; it must be used by one thread only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # noqa: TID253 - imported with the engine that needs it
from numpy.typing import NDArray

from producer.contract.narration import ModelName
from worker.engine.conditionals import VoiceConditionals
from worker.engine.request import SegmentRequest
from worker.engine.t3_guard import T3Guard
from worker.errors import EngineFaultError, SegmentUnspeakableError, SynthesisError
from worker.models.chatterbox import languages_of
from worker.models.device import is_device_fault


class Speaker:
    """A stock `ChatterboxTTS` or `ChatterboxMultilingualTTS` with its traps covered."""

    def __init__(self, loaded: Any, model: ModelName, *, max_cached_voices: int) -> None:
        self.model = model
        self.languages = languages_of(loaded, model)
        self.watermarker = loaded.watermarker
        self.sample_rate_hz: int = loaded.sr
        self._loaded = loaded
        self._voices = VoiceConditionals(loaded, max_voices=max_cached_voices)
        T3Guard(loaded.t3, space_token=loaded.tokenizer.tokenizer.token_to_id("[SPACE]") or 0)

    def speak(self, request: SegmentRequest) -> NDArray[np.float32]:
        """Return [num_samples] float32 with the watermark in it.

        Raises:
            SynthesisError: or one of its kinds; `EngineFaultError` if the process cannot go on.
        """
        if not request.text.strip():
            # Stock speaks a sentence of its own instead.
            raise SegmentUnspeakableError("the segment has no text")
        try:
            return self._generate(request)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise SynthesisError("the GPU's memory is full") from error
        except RuntimeError as error:
            if is_device_fault(error):
                raise EngineFaultError(f"the GPU failed: {str(error).splitlines()[0]}") from error
            raise

    def _generate(self, request: SegmentRequest) -> NDArray[np.float32]:
        parameters = request.parameters
        options: dict[str, Any] = {
            "exaggeration": parameters.exaggeration,
            "cfg_weight": parameters.cfg_weight,
            "temperature": parameters.temperature,
            "min_p": parameters.min_p,
            "top_p": parameters.top_p,
        }
        if parameters.repetition_penalty is not None:
            options["repetition_penalty"] = parameters.repetition_penalty
        if self.model is ModelName.MULTILINGUAL:
            options["language_id"] = request.language
        self._loaded.conds = self._voices.fresh(request.voice, parameters.exaggeration)
        # Stock draws from torch's global generators only: tokens, the flow's noise, the vocoder's phases.
        torch.manual_seed(request.seed)
        try:
            audio = self._loaded.generate(request.text, **options)
        finally:
            self._loaded.conds = None
        return np.ascontiguousarray(audio.squeeze(0).numpy(), np.float32)
