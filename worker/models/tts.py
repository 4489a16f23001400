"""The English Chatterbox: a drop-in for `chatterbox.tts.ChatterboxTTS`, with T3 in int8 on request.

Knows nothing of the multilingual model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch  # noqa: TID253 - whoever names this module wants the model
from chatterbox import tts as stock  # noqa: TID253

from worker.models.checkpoint import ENGLISH, Parts
from worker.models.sampling import Sampling
from worker.models.speaking import SafeSpeech


class ChatterboxTTS(SafeSpeech, stock.ChatterboxTTS):  # type: ignore[misc]  # untyped base
    """English speech. Code written for chatterbox-tts 0.1.7 runs unchanged; what differs is in the documentation."""

    files: ClassVar[Parts] = ENGLISH

    @property
    def languages(self) -> frozenset[str]:
        """English only."""
        return frozenset({"en"})

    def generate(
        self,
        text: str,
        repetition_penalty: float = 1.2,
        min_p: float = 0.05,
        top_p: float = 1.0,
        audio_prompt_path: str | Path | None = None,
        exaggeration: float = 0.5,
        cfg_weight: float = 0.5,
        temperature: float = 0.8,
    ) -> torch.Tensor:
        """Speak a text; the same noise gives the same tokens as chatterbox-tts.

        Args:
            text: up to about 300 characters; longer texts drift.
            repetition_penalty: above 1 avoids tokens that were spoken before.
            min_p: drops tokens less likely than this part of the likeliest; 1 always takes the likeliest.
            top_p: keeps the likeliest tokens that together reach this.
            audio_prompt_path: a recording whose voice is used for this call only.
            exaggeration: of emotion; 0.5 is neutral.
            cfg_weight: how closely the text is followed; 0 halves the work.
            temperature: of sampling.

        Returns:
            [1, samples] float32 at 24 kHz, on the CPU, watermarked.

        Raises:
            SegmentUnspeakableError: no text, too much of it, no voice, or a parameter that no model can use.
            NoEndOfSpeechError: the model did not end the speech; chatterbox-tts would cut it off at 40 s.
            SynthesisError: it said nothing, or what it computed is not finite.
        """
        sampling = Sampling(temperature, cfg_weight, repetition_penalty, min_p, top_p)
        return self.speak(text, sampling, audio_prompt_path=audio_prompt_path, exaggeration=exaggeration)

    def tokens_of(self, text: str, language: str | None) -> torch.Tensor:
        """Return the tokens [T] of a text, without start and stop token; there is one language."""
        del language
        tokens: torch.Tensor = self.tokenizer.text_to_tokens(stock.punc_norm(text))[0]
        return tokens

    @classmethod
    def _conditionals_class(cls) -> Any:
        return stock.Conditionals

    @classmethod
    def _load_tokenizer(cls, path: Path) -> Any:
        return stock.EnTokenizer(str(path))
