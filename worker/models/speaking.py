"""How both Chatterbox classes of ours speak: without side effects, one call at a time.

Knows nothing of languages or files; mixed in before the class of chatterbox-tts, whose parts it uses.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from producer.contract.narration import is_speakable
from worker.errors import SegmentUnspeakableError, SynthesisError
from worker.models.generation import DEFAULT_MAX_SPEECH_TOKENS, generate_tokens, require_speech
from worker.models.loading import SafeLoading
from worker.models.sampling import Sampling
from worker.models.vocoder import vocode
from worker.models.voicetensors import voice_from
from worker.models.watermark import check_watermarker

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


class SafeSpeech(SafeLoading):
    """Speaking, for a class of chatterbox-tts that this is mixed into."""

    #: How tokens are drawn where a call does not say it.
    default_sampling: ClassVar[Sampling] = Sampling()
    #: Speech tokens after which a call is given up with `NoEndOfSpeechError`; 25 are a second.
    max_speech_tokens: int = DEFAULT_MAX_SPEECH_TOKENS

    s3gen: Any
    ve: Any
    tokenizer: Any
    conds: Any
    watermarker: Any
    device: Any
    sr: int

    def __init__(self, t3: Any, s3gen: Any, ve: Any, tokenizer: Any, device: Any, conds: Any = None) -> None:
        check_watermarker()
        # The watermarker greets on stdout when it is made.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(t3, s3gen, ve, tokenizer, device, conds)  # type: ignore[call-arg]
        check_watermarker(self.watermarker)
        self._lock = threading.RLock()

    @property
    def languages(self) -> frozenset[str]:
        """The codes of the languages that this model can speak as it is loaded."""
        raise NotImplementedError

    def tokens_of(self, text: str, language: str | None) -> torch.Tensor:
        """Return the tokens [T] of a text, without start and stop token.

        Raises:
            LanguageUnsupportedError: the model does not speak the language.
        """
        raise NotImplementedError

    def prepare_voice(self, wav_fpath: str | Path, exaggeration: float = 0.5) -> Any:
        """Return the `Conditionals` of a reference recording, where T3 is, and change nothing in the model."""
        room = SimpleNamespace(
            t3=self.t3,
            s3gen=self.s3gen,
            ve=self.ve,
            device=self.s3gen.device,
            ENC_COND_LEN=self.ENC_COND_LEN,  # type: ignore[attr-defined]
            DEC_COND_LEN=self.DEC_COND_LEN,  # type: ignore[attr-defined]
        )
        import torch

        # Without gradients: the stock method would keep the graph of the speaker encoder alive with each voice.
        with self._lock, torch.inference_mode():
            # The stock method, on an object of ours: it leaves its result in `conds`.
            stock = super().prepare_conditionals.__func__  # type: ignore[misc]
            stock(room, wav_fpath, exaggeration)
            return room.conds.to(self.device)

    def restore_voice(self, tensors: Mapping[str, torch.Tensor]) -> Any:
        """Return the `Conditionals` that these tensors are of (`worker.models.voicetensors`), where T3 is.

        Raises:
            ModelLoadError: they are not those of a voice.
        """
        return voice_from(tensors, self._conditionals_class()).to(self.device)

    def prepare_conditionals(self, wav_fpath: str | Path, exaggeration: float = 0.5) -> None:
        """Make a reference recording the voice of every later call that names none."""
        self.conds = self.prepare_voice(wav_fpath, exaggeration)

    def speak(
        self,
        text: str,
        sampling: Sampling | None = None,
        *,
        language: str | None = None,
        voice: Any = None,
        audio_prompt_path: str | Path | None = None,
        exaggeration: float = 0.5,
        seed: int | None = None,
    ) -> torch.Tensor:
        """Speak a text: `generate` with a voice that was prepared before, and reproducibly if there is a seed.

        Args:
            text: up to about 300 characters.
            sampling: how tokens are drawn; None is the model's own way.
            language: a code, in any case; the English model ignores it.
            voice: of `prepare_voice`; it is not written to.
            audio_prompt_path: a recording whose voice is used for this call, where no `voice` is given.
            exaggeration: of emotion.
            seed: equal calls with equal seeds give equal samples on one machine.

        Returns:
            [1, samples] float32 at 24 kHz, on the CPU, watermarked.

        Raises:
            SynthesisError: one of its kinds, as `generate` says.
        """
        import torch

        require_speakable(text)
        text_tokens = self.tokens_of(text, language)
        voice = voice or self._voice_for(audio_prompt_path, exaggeration)
        with self._lock, torch.inference_mode():
            generator = None if seed is None else torch.Generator(self.device).manual_seed(seed)
            tokens, has_ended = generate_tokens(
                self.t3,
                _with_exaggeration(voice.t3, exaggeration),
                self.framed(text_tokens),
                sampling or self.default_sampling,
                max_tokens=self.max_speech_tokens,
                generator=generator,
            )
            tokens = require_speech(tokens, has_ended=has_ended)
            samples = vocode(self.s3gen, tokens, voice.gen, seed=seed)
            if not torch.isfinite(samples).all():
                raise SynthesisError("the samples are not finite: the weights are damaged or overflow")
            marked = self.watermarker.apply_watermark(samples.cpu().numpy(), sample_rate=self.sr)
        return torch.from_numpy(marked).unsqueeze(0)

    def _voice_for(self, audio_prompt_path: str | Path | None, exaggeration: float) -> Any:
        """Return the voice of one call: the recording named in it, else the model's own; never that of another call.

        Raises:
            SegmentUnspeakableError: there is none.
        """
        if audio_prompt_path:
            return self.prepare_voice(audio_prompt_path, exaggeration)
        if self.conds is None:
            raise SegmentUnspeakableError("no voice: give audio_prompt_path, or call prepare_conditionals first")
        return self.conds

    def framed(self, text_tokens: torch.Tensor) -> torch.Tensor:
        """Put the start and stop token around text tokens [T]."""
        import torch.nn.functional

        framed = torch.nn.functional.pad(text_tokens.long(), (1, 0), value=self.t3.hp.start_text_token)
        return torch.nn.functional.pad(framed, (0, 1), value=self.t3.hp.stop_text_token)


def require_speakable(text: str) -> None:
    """Return if a text has something to speak.

    Raises:
        SegmentUnspeakableError: otherwise; chatterbox-tts would say "You need to add some text for me to talk."
    """
    if not is_speakable(text):
        raise SegmentUnspeakableError("there is nothing to speak: no letter and no digit")


def _with_exaggeration(voice: Any, exaggeration: float) -> Any:
    """Return a new `T3Cond` with this exaggeration; the one given stays as it is."""
    import torch
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    if not math.isfinite(exaggeration):
        raise SegmentUnspeakableError(f"exaggeration must be a finite number, not {exaggeration}")
    return T3Cond(
        speaker_emb=voice.speaker_emb,
        cond_prompt_speech_tokens=voice.cond_prompt_speech_tokens,
        emotion_adv=exaggeration * torch.ones(1, 1, 1, device=voice.speaker_emb.device),
    )
