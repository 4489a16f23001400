"""What a model knows of each voice: made once from the reference audio, kept for the most recent ones.

Knows nothing of segments. Used by the one thread on which its model speaks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch  # noqa: TID253 - imported with the engine that needs it
from chatterbox.models.t3.modules.cond_enc import T3Cond  # noqa: TID253
from chatterbox.tts import Conditionals  # noqa: TID253

from worker.engine.request import VoiceReference
from worker.errors import SynthesisError, VoiceUnsupportedError
from worker.models.device import is_device_fault


class VoiceConditionals:
    """The conditionals of one model's voices, most recently used last.

    One entry serves every exaggeration: it is the only part that a request changes, and it is no part of what costs.
    """

    def __init__(self, model: Any, *, max_voices: int) -> None:
        self._model = model
        self._built_in: Conditionals = model.conds
        self._max_voices = max_voices
        self._voices: OrderedDict[str, Conditionals] = OrderedDict()

    def fresh(self, voice: VoiceReference | None, exaggeration: float) -> Conditionals:
        """Return conditionals for one segment, which the model may change as it likes.

        The stock model writes into them while it speaks: it turns token numbers into floats and adds embeddings. A
        copy for each segment keeps that from the next one; the tensors themselves are shared and never written to.

        Raises:
            VoiceUnsupportedError: if the reference audio cannot be a voice.
            SynthesisError: if the file is not there (any more).
        """
        known = self._built_in if voice is None else self._prepared(voice)
        return Conditionals(
            T3Cond(
                speaker_emb=known.t3.speaker_emb,
                cond_prompt_speech_tokens=known.t3.cond_prompt_speech_tokens,
                emotion_adv=torch.full((1, 1, 1), exaggeration, device=self._model.device),
            ),
            dict(known.gen),
        )

    def _prepared(self, voice: VoiceReference) -> Conditionals:
        known = self._voices.pop(voice.sha256, None)
        if known is None:
            known = self._prepare(voice)
        self._voices[voice.sha256] = known
        while len(self._voices) > self._max_voices:
            self._voices.popitem(last=False)
        return known

    def _prepare(self, voice: VoiceReference) -> Conditionals:
        if not voice.path.is_file():
            raise SynthesisError(f"the reference audio {voice.sha256[:12]} is not on this machine any more")
        try:
            with torch.inference_mode():  # stock keeps the graph of the speaker encoder alive otherwise
                self._model.prepare_conditionals(voice.path)
        except (ValueError, IndexError, AssertionError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or is_device_fault(error):
                raise
            raise VoiceUnsupportedError(
                f"the reference audio {voice.sha256[:12]} cannot be made into a voice ({type(error).__name__}); "
                "it may be silent or too short"
            ) from error
        return self._model.conds
