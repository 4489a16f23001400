"""What a decoder can speak at all: asked before anything reaches the device, where an index too large ends a process.

Knows nothing of what is free at the moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.prompt import Prompt
from worker.engine.t3.weights import T3Weights

#: T3 was trained with two of them before the first token of speech.
_NUM_START_TOKENS: Final = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes of a model and of the decoder around it, in positions, tokens and rows."""

    num_rows: int
    num_positions: int
    num_voice_positions: int
    num_text_positions: int
    num_speech_positions: int
    text_vocabulary: int

    @classmethod
    def of(cls, weights: T3Weights, *, num_rows: int, num_positions: int) -> Limits:
        """Return those of a model with so many rows of so many positions."""
        return cls(
            num_rows=num_rows,
            num_positions=num_positions,
            num_voice_positions=weights.num_voice_positions,
            num_text_positions=weights.text_positions.shape[0],
            num_speech_positions=weights.speech_positions.shape[0],
            text_vocabulary=weights.text_embedding.shape[0],
        )

    def why_not(self, prompt: Prompt) -> str | None:
        """Return why a prompt cannot be spoken, ever; None if it can."""
        return self._text_fault(prompt.text_tokens) or self._length_fault(prompt) or self._other_fault(prompt)

    def most_tokens(self, num_text_tokens: int) -> int:
        """Return the highest ceiling that a text of so many tokens leaves room for; less than 1 if it leaves none."""
        taken = self.num_voice_positions + num_text_tokens + _NUM_START_TOKENS
        return min(self.num_positions - taken, self.num_speech_positions - 1)

    def _text_fault(self, tokens: torch.Tensor) -> str | None:
        if tokens.ndim != 1 or tokens.numel() == 0 or tokens.dtype != torch.long or tokens.is_cuda:
            return "the text is not a row of int64 tokens on the CPU"
        if tokens.numel() > self.num_text_positions:
            return f"the text is {tokens.numel() - 2} tokens long, and the model reads {self.num_text_positions - 2}"
        if int(tokens.min()) < 0 or int(tokens.max()) >= self.text_vocabulary:
            return f"the text has tokens outside of the model's {self.text_vocabulary}"
        return None

    def _length_fault(self, prompt: Prompt) -> str | None:
        if not 0 < prompt.max_tokens < self.num_speech_positions:
            return f"the model speaks 1 to {self.num_speech_positions - 1} tokens, not {prompt.max_tokens}"
        needed = self.num_voice_positions + prompt.text_tokens.numel() + _NUM_START_TOKENS + prompt.max_tokens
        if needed > self.num_positions:
            return f"text and speech need up to {needed} positions, and there are {self.num_positions}"
        if prompt.num_forced_tokens is not None and not 0 <= prompt.num_forced_tokens < prompt.max_tokens:
            return f"an end is forced after 0 to {prompt.max_tokens - 1} tokens, not {prompt.num_forced_tokens}"
        return None

    def _other_fault(self, prompt: Prompt) -> str | None:
        if prompt.num_rows > self.num_rows:
            return f"it needs {prompt.num_rows} rows, and there are {self.num_rows}"
        if prompt.voice.cond_prompt_speech_tokens is None:
            return "the voice has no speech to go by"
        if not 0 <= prompt.seed < 2**32:
            return f"the seed is a number from 0 to 2**32 - 1, not {prompt.seed}"
        if not math.isfinite(prompt.exaggeration):
            return f"exaggeration is a finite number, not {prompt.exaggeration}"
        return None
