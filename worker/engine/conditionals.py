"""What a model knows of each voice: made once from the reference audio, kept for the most recent ones.

Knows nothing of segments. Used by the one thread on which its model speaks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.request import VoiceReference
from worker.errors import SynthesisError, VoiceUnsupportedError
from worker.models.device import is_device_fault


class VoiceConditionals:
    """The conditionals of one model's voices, most recently used last.

    One entry serves every exaggeration, and speaking does not write into it.
    """

    def __init__(self, model: Any, *, max_voices: int) -> None:
        self._model = model
        self._max_voices = max_voices
        self._voices: OrderedDict[str, Any] = OrderedDict()

    def get(self, voice: VoiceReference | None) -> Any:
        """Return the conditionals of a voice; None is the model's own.

        Raises:
            VoiceUnsupportedError: if the reference audio cannot be a voice.
            SynthesisError: if the file is not there (any more).
        """
        if voice is None:
            return self._model.conds
        known = self._voices.pop(voice.sha256, None)
        if known is None:
            known = self._prepare(voice)
        self._voices[voice.sha256] = known
        while len(self._voices) > self._max_voices:
            self._voices.popitem(last=False)
        return known

    def _prepare(self, voice: VoiceReference) -> Any:
        if not voice.path.is_file():
            raise SynthesisError(f"the reference audio {voice.sha256[:12]} is not on this machine any more")
        try:
            return self._model.prepare_voice(voice.path)
        except (ValueError, IndexError, AssertionError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or is_device_fault(error):
                raise
            raise VoiceUnsupportedError(
                f"the reference audio {voice.sha256[:12]} cannot be made into a voice ({type(error).__name__}); "
                "it may be silent or too short"
            ) from error
