"""Requests to scripts: text tokens and the voice, made on a thread of their own, before a slot is free.

Knows nothing of slots or batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.batching.ports import Places
from worker.engine.conditionals import VoiceConditionals
from worker.engine.conditionalsshelf import ConditionalsShelf
from worker.engine.request import SegmentRequest
from worker.engine.s3gen.speech import Speech
from worker.engine.t3.prompt import Prompt
from worker.engine.textspans import token_spans
from worker.errors import NoSpeechError
from worker.models.generation import NUM_SOUNDS
from worker.models.sampling import Sampling
from worker.models.speaking import require_speakable


@dataclass(frozen=True, slots=True, eq=False)
class ChatterboxScript:
    """What T3 is asked to speak, and in which voice S3Gen makes it audible."""

    #: [T] int64 on the CPU, start and stop token included.
    text_tokens: torch.Tensor
    #: Of `prepare_voice`; one object for all segments in this voice.
    voice: Any
    exaggeration: float
    sampling: Sampling
    max_tokens: int
    #: For benchmarks: random weights end no speech by themselves.
    num_forced_tokens: int | None = None
    #: What the text tokens stand for, and what the names of tokens are; for `places`.
    text: str = ""
    token_name: Callable[[int], str | None] | None = None

    def prompt(self, seed: int) -> Prompt:
        """Return what T3 is asked to speak."""
        return Prompt(
            self.text_tokens,
            self.voice.t3,
            self.exaggeration,
            self.sampling,
            seed,
            self.max_tokens,
            num_forced_tokens=self.num_forced_tokens,
        )

    def speech(self, tokens: torch.Tensor, seed: int) -> Speech:
        """Return what S3Gen makes audible: the tokens [N] that it has a sound for.

        Raises:
            NoSpeechError: there are none.
        """
        sounds = tokens[tokens < NUM_SOUNDS]
        if sounds.numel() == 0:
            raise NoSpeechError("the model ended the speech before it began")
        return Speech(sounds, self.voice.gen, seed)

    def places(self, tokens: torch.Tensor, text_positions: torch.Tensor) -> Places:
        """Return where in the text the speech is: of the tokens [N] that `speech` takes, in parts of 40 ms."""
        spans = None
        if self.token_name is not None:
            spans = token_spans([self.token_name(token) or "" for token in self.text_tokens.tolist()], self.text)
        return Places(text_positions[tokens < NUM_SOUNDS].numpy(), spans)


class ChatterboxPreparation:
    """Writes the scripts of one model; used by one thread."""

    def __init__(
        self,
        model: Any,
        *,
        most_tokens: Callable[[int], int],
        max_cached_voices: int,
        shelf: ConditionalsShelf | None = None,
    ) -> None:
        """Take the model whose tokenizer and voice encoder are used.

        Args:
            model: a `ChatterboxTTS` or `ChatterboxMultilingualTTS` of ours.
            most_tokens: how many speech tokens there is room for beside so many text tokens.
            max_cached_voices: voices that are kept ready.
            shelf: where more of them are kept on disk.
        """
        self._model = model
        self._most_tokens = most_tokens
        self._voices = VoiceConditionals(model, max_voices=max_cached_voices, shelf=shelf)

    def prepare(self, request: SegmentRequest) -> ChatterboxScript:
        """Return the script of a request.

        Raises:
            SegmentUnspeakableError: no text, or a parameter that no model can use.
            LanguageUnsupportedError: the model does not speak it.
            VoiceUnsupportedError: the reference audio cannot be a voice.
            SynthesisError: the reference audio is not there (any more).
        """
        require_speakable(request.text)
        tokens = self._model.framed(self._model.tokens_of(request.text, request.language)).cpu()
        room = self._most_tokens(tokens.numel())
        return ChatterboxScript(
            text_tokens=tokens,
            voice=self._voices.get(request.voice),
            exaggeration=request.parameters.exaggeration,
            sampling=self._sampling(request),
            # A text that leaves no room is refused by the decoder, which says why.
            max_tokens=max(1, min(self._model.max_speech_tokens, room)),
            text=request.text,
            token_name=lambda token: self._model.tokenizer.tokenizer.id_to_token(token),
        )

    def _sampling(self, request: SegmentRequest) -> Sampling:
        parameters = request.parameters
        penalty = parameters.repetition_penalty
        return Sampling(
            temperature=parameters.temperature,
            cfg_weight=parameters.cfg_weight,
            repetition_penalty=self._model.default_sampling.repetition_penalty if penalty is None else penalty,
            min_p=parameters.min_p,
            top_p=parameters.top_p,
        )
