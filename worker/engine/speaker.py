"""One loaded Chatterbox model that speaks one segment at a time.

Knows nothing of threads or futures; it must be used by one thread only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # noqa: TID253 - imported with the engine that needs it
from numpy.typing import NDArray

from worker.engine.conditionals import VoiceConditionals
from worker.engine.request import SegmentRequest
from worker.errors import EngineFaultError, SynthesisError
from worker.models.device import is_device_fault
from worker.models.sampling import Sampling


class Speaker:
    """A `ChatterboxTTS` or `ChatterboxMultilingualTTS` of ours, with the voices it has prepared."""

    def __init__(self, model: Any, *, max_cached_voices: int) -> None:
        self.model = model
        self.languages: frozenset[str] = model.languages
        self._voices = VoiceConditionals(model, max_voices=max_cached_voices)

    def speak(self, request: SegmentRequest) -> NDArray[np.float32]:
        """Return [num_samples] float32 with the watermark in it.

        Raises:
            SynthesisError: or one of its kinds; `EngineFaultError` if the process cannot go on.
        """
        try:
            audio = self.model.speak(
                request.text,
                self._sampling(request),
                language=request.language,
                voice=self._voices.get(request.voice),
                exaggeration=request.parameters.exaggeration,
                seed=request.seed,
            )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise SynthesisError("the GPU's memory is full") from error
        except RuntimeError as error:
            if is_device_fault(error):
                raise EngineFaultError(f"the GPU failed: {str(error).splitlines()[0]}") from error
            raise
        return np.ascontiguousarray(audio.squeeze(0).numpy(), np.float32)

    def _sampling(self, request: SegmentRequest) -> Sampling:
        parameters = request.parameters
        penalty = parameters.repetition_penalty
        return Sampling(
            temperature=parameters.temperature,
            cfg_weight=parameters.cfg_weight,
            repetition_penalty=self.model.default_sampling.repetition_penalty if penalty is None else penalty,
            min_p=parameters.min_p,
            top_p=parameters.top_p,
        )
