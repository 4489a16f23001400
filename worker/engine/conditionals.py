"""What a model knows of each voice: made once from the reference audio, kept for the most recent ones, and on disk.

Knows nothing of segments. Used by the one thread on which its model speaks.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.conditionalsshelf import ConditionalsShelf
from worker.engine.request import VoiceReference
from worker.errors import ModelLoadError, SynthesisError, VoiceUnsupportedError
from worker.models.device import is_device_fault
from worker.models.voicetensors import tensors_of

logger = logging.getLogger(__name__)


class VoiceConditionals:
    """The conditionals of one model's voices, most recently used last.

    One entry serves every exaggeration, and speaking does not write into it.
    """

    def __init__(self, model: Any, *, max_voices: int, shelf: ConditionalsShelf | None = None) -> None:
        """Take the model that makes them.

        Args:
            model: a `ChatterboxTTS` or `ChatterboxMultilingualTTS` of ours.
            max_voices: voices that are kept ready, where T3 is.
            shelf: where more of them are kept on disk.
        """
        self._model = model
        self._max_voices = max_voices
        self._shelf = shelf
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
            known = self._restore(voice.sha256) or self._make(voice)
        self._voices[voice.sha256] = known
        while len(self._voices) > self._max_voices:
            self._voices.popitem(last=False)
        return known

    def _restore(self, sha256: str) -> Any | None:
        tensors = self._shelf.get(sha256) if self._shelf else None
        if tensors is None:
            return None
        try:
            return self._model.restore_voice(tensors)
        except ModelLoadError as error:
            logger.warning("conditionals_refused", extra={"voice": sha256, "reason": str(error)})
            return None

    def _make(self, voice: VoiceReference) -> Any:
        made = self._prepare(voice)
        if self._shelf:
            try:
                self._shelf.put(voice.sha256, tensors_of(made))
            except ModelLoadError as error:
                logger.warning("conditionals_not_kept", extra={"voice": voice.sha256, "reason": str(error)})
        return made

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
