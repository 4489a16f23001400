"""The multilingual Chatterbox: a drop-in for `chatterbox.mtl_tts.ChatterboxMultilingualTTS`, int8 on request.

Knows nothing of the English model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import torch  # noqa: TID253 - whoever names this module wants the model
from chatterbox import mtl_tts as stock  # noqa: TID253
from chatterbox.models.tokenizers import tokenizer as stock_tokenizer  # noqa: TID253

from worker.errors import LanguageUnsupportedError, ModelLoadError
from worker.models.checkpoint import MULTILINGUAL, Parts
from worker.models.sampling import Sampling
from worker.models.speaking import SafeSpeech

#: chatterbox-tts repeats itself less in this model with a stronger penalty.
REPETITION_PENALTY = 2.0


class ChatterboxMultilingualTTS(SafeSpeech, stock.ChatterboxMultilingualTTS):  # type: ignore[misc]  # untyped base
    """Speech in 23 languages. Code written for chatterbox-tts 0.1.7 runs unchanged; what differs is documented."""

    files: ClassVar[Parts] = MULTILINGUAL

    default_sampling: ClassVar[Sampling] = Sampling(repetition_penalty=REPETITION_PENALTY)

    @property
    def languages(self) -> frozenset[str]:
        """All that the model was trained on; Chinese only with its table and its word segmenter.

        Without the table it would be spelt as unknown tokens and spoken as noise; without the segmenter its words are
        not set apart as they were in training.
        """
        languages = set(stock.SUPPORTED_LANGUAGES)
        chinese = self.tokenizer.cangjie_converter
        if not chinese.word2cj or chinese.segmenter is None:
            languages.discard("zh")
        return frozenset(languages)

    def generate(
        self,
        text: str,
        language_id: str | None,
        audio_prompt_path: str | Path | None = None,
        exaggeration: float = 0.5,
        cfg_weight: float = 0.5,
        temperature: float = 0.8,
        repetition_penalty: float = REPETITION_PENALTY,
        min_p: float = 0.05,
        top_p: float = 1.0,
    ) -> torch.Tensor:
        """Speak a text in a language; the same noise gives the same tokens as chatterbox-tts.

        Args:
            text: up to about 300 characters; longer texts drift.
            language_id: one of `get_supported_languages`, in any case.
            audio_prompt_path: a recording whose voice is used for this call only.
            exaggeration: of emotion; 0.5 is neutral.
            cfg_weight: how closely the text is followed; 0 halves the work.
            temperature: of sampling.
            repetition_penalty: above 1 avoids tokens that were spoken before.
            min_p: drops tokens less likely than this part of the likeliest; 1 always takes the likeliest.
            top_p: keeps the likeliest tokens that together reach this.

        Returns:
            [1, samples] float32 at 24 kHz, on the CPU, watermarked.

        Raises:
            LanguageUnsupportedError: the model does not speak the language, or lacks the table for it.
            SegmentUnspeakableError: no text, too much of it, no voice, or a parameter that no model can use.
            NoEndOfSpeechError: the model did not end the speech; chatterbox-tts would cut it off at 40 s.
            SynthesisError: it said nothing, or what it computed is not finite.
        """
        sampling = Sampling(temperature, cfg_weight, repetition_penalty, min_p, top_p)
        return self.speak(
            text, sampling, language=language_id, audio_prompt_path=audio_prompt_path, exaggeration=exaggeration
        )

    def tokens_of(self, text: str, language: str | None) -> torch.Tensor:
        """Return the tokens [T] of a text in a language, without start and stop token.

        Raises:
            LanguageUnsupportedError: the model does not speak it, or lacks the table for it.
        """
        code = self._language(language)
        tokens: torch.Tensor = self.tokenizer.text_to_tokens(stock.punc_norm(text), language_id=code)[0]
        return tokens

    def _language(self, language_id: str | None) -> str | None:
        if not language_id:
            return None
        language = language_id.lower()
        if language not in stock.SUPPORTED_LANGUAGES:
            known = ", ".join(stock.SUPPORTED_LANGUAGES)
            raise LanguageUnsupportedError(f"the model does not speak {language_id!r}; it speaks {known}")
        if language == "zh" and not self.tokenizer.cangjie_converter.word2cj:
            raise LanguageUnsupportedError("Chinese needs the file Cangjie5_TC.json beside the checkpoint")
        return language

    @classmethod
    def _conditionals_class(cls) -> Any:
        return stock.Conditionals

    @classmethod
    def _load_tokenizer(cls, path: Path) -> Any:
        return LocalTokenizer(str(path))


class LocalTokenizer(stock_tokenizer.MTLTokenizer):  # type: ignore[misc]  # untyped base
    """The stock tokenizer, which asks the hub for the Chinese table at each start; this one reads the file."""

    def __init__(self, vocab_file_path: str) -> None:
        self.tokenizer = stock_tokenizer.Tokenizer.from_file(vocab_file_path)
        self.cangjie_converter = LocalCangjie(Path(vocab_file_path).parent)
        self.check_vocabset_sot_eot()


class LocalCangjie(stock_tokenizer.ChineseCangjieConverter):  # type: ignore[misc]  # untyped base
    """The stock Chinese table, read from the checkpoint's folder, with a word segmenter that is never downloaded."""

    def _load_cangjie_mapping(self, model_dir: Path | None = None) -> None:
        path = Path(model_dir or ".") / "Cangjie5_TC.json"
        if not path.exists():
            return
        try:
            for entry in json.loads(path.read_text(encoding="utf-8")):
                word, code = entry.split("\t")[:2]
                self.word2cj[word] = code
                self.cj2word.setdefault(code, []).append(word)
        except (ValueError, TypeError, AttributeError) as exc:
            raise ModelLoadError(f"{path} is not the table of Cangjie codes") from exc

    def _init_segmenter(self) -> None:
        """Segment words if the segmenter's model is on this machine; the stock class fetches it, or fails."""
        try:
            from spacy_pkuseg import config  # type: ignore[import-untyped]
        except ImportError:
            return
        if (Path(config.pkuseg_home) / "spacy_ontonotes").is_dir():
            super()._init_segmenter()
