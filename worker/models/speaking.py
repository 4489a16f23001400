"""What both Chatterbox classes of ours share: load safely, speak without side effects, one call at a time.

Knows nothing of languages or file names; mixed in before the class of chatterbox-tts, whose parts it uses.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from worker.errors import SegmentUnspeakableError, SynthesisError
from worker.models import checkpointfiles
from worker.models.generation import DEFAULT_MAX_SPEECH_TOKENS, generate_tokens, require_speech
from worker.models.int8_support import require_int8_support
from worker.models.prequantized import describe_source, is_current, save_quantized_t3
from worker.models.vocoder import vocode
from worker.models.watermark import check_watermarker

if TYPE_CHECKING:
    from typing import Self

    import torch

    from worker.models.checkpointfiles import CheckpointFiles, Precision
    from worker.models.sampling import Sampling


class SafeSpeech:
    """Loading and speaking, for a class of chatterbox-tts that this is mixed into."""

    #: Which files the checkpoint is made of.
    files: ClassVar[CheckpointFiles]
    #: Speech tokens after which a call is given up with `NoEndOfSpeechError`; 25 are a second.
    max_speech_tokens: int = DEFAULT_MAX_SPEECH_TOKENS

    t3: Any
    s3gen: Any
    ve: Any
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

    @classmethod
    def from_local(cls, ckpt_dir: str | Path, device: str | torch.device, use_bnb_quantization: bool = False) -> Self:
        """Load the model from a folder.

        Everything that can be wrong is looked at before the first weight is read.

        Args:
            ckpt_dir: the folder with the files, as `from_pretrained` fetches them.
            device: where the model runs.
            use_bnb_quantization: T3 in int8, which needs CUDA. If `save_int8` has written its file into the folder,
                that is read, and the full weights are not.

        Raises:
            ModelLoadError: the checkpoint is not whole or of the other model, or int8 does not run here.
            WatermarkError: the watermark is not installed.
        """
        directory = Path(ckpt_dir)
        int8_path = None
        if use_bnb_quantization:
            require_int8_support(device)
            beside = directory / cls.files.int8_t3
            int8_path = beside if is_current(beside, directory / cls.files.t3) else None
        precision: Precision = "int8" if use_bnb_quantization else "fp32"
        return cls.load(directory, device, precision=precision, int8_path=int8_path)

    @classmethod
    def load(
        cls,
        directory: Path,
        device: str | torch.device,
        *,
        precision: Precision = "fp32",
        int8_path: Path | None = None,
        files: CheckpointFiles | None = None,
    ) -> Self:
        """Load the model with T3 in any precision, a prequantized T3 from any place, other file names: `from_local`."""
        if precision == "int8":
            require_int8_support(device)
        check_watermarker()
        files = files or cls.files
        checkpointfiles.check_checkpoint(directory, files, int8_path=int8_path)
        t3 = checkpointfiles.load_t3(directory, files, device, precision=precision, int8_path=int8_path)
        s3gen = checkpointfiles.load_s3gen(directory, files, device)
        voice_encoder = checkpointfiles.load_voice_encoder(directory, files, device)
        voice = checkpointfiles.load_voice(directory / files.voice, device, cls._conditionals_class())
        tokenizer = cls._load_tokenizer(directory / files.tokenizer)
        return cls(t3, s3gen, voice_encoder, tokenizer, device, conds=voice)

    @classmethod
    def _conditionals_class(cls) -> Any:
        raise NotImplementedError

    @classmethod
    def _load_tokenizer(cls, path: Path) -> Any:
        raise NotImplementedError

    def save_int8(self, directory: str | Path) -> Path:
        """Write the int8 T3 beside the other files, so that the next start reads a quarter of the bytes.

        Raises:
            ModelLoadError: this T3 is not int8.
        """
        path = Path(directory) / self.files.int8_t3
        source = describe_source(Path(directory) / self.files.t3)
        save_quantized_t3(self.t3, path, metadata={"model": self.files.model, **source})
        return path

    def prepare_voice(self, wav_fpath: str | Path, exaggeration: float = 0.5) -> Any:
        """Return the `Conditionals` of a reference recording, and change nothing in the model."""
        room = SimpleNamespace(
            t3=self.t3,
            s3gen=self.s3gen,
            ve=self.ve,
            device=self.device,
            ENC_COND_LEN=self.ENC_COND_LEN,  # type: ignore[attr-defined]
            DEC_COND_LEN=self.DEC_COND_LEN,  # type: ignore[attr-defined]
        )
        with self._lock:
            # The stock method, on an object of ours: it leaves its result in `conds`.
            stock = super().prepare_conditionals.__func__  # type: ignore[misc]
            stock(room, wav_fpath, exaggeration)
        return room.conds

    def prepare_conditionals(self, wav_fpath: str | Path, exaggeration: float = 0.5) -> None:
        """Make a reference recording the voice of every later call that names none."""
        self.conds = self.prepare_voice(wav_fpath, exaggeration)

    def _speak(
        self,
        text_tokens: torch.Tensor,
        sampling: Sampling,
        *,
        voice: Any,
        exaggeration: float,
        seed: int | None = None,
    ) -> torch.Tensor:
        """Speak text tokens [T] and return [1, samples] float32 on the CPU, watermarked.

        Raises:
            NoEndOfSpeechError: the model did not stop by itself.
            SynthesisError: it said nothing, or what it computed is not finite.
        """
        import torch

        with self._lock, torch.inference_mode():
            generator = None if seed is None else torch.Generator(self.device).manual_seed(seed)
            tokens, has_ended = generate_tokens(
                self.t3,
                _with_exaggeration(voice.t3, exaggeration),
                self._framed(text_tokens),
                sampling,
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

    def _framed(self, text_tokens: torch.Tensor) -> torch.Tensor:
        """Put the start and stop token around text tokens [T]."""
        import torch.nn.functional

        framed = torch.nn.functional.pad(text_tokens.long(), (1, 0), value=self.t3.hp.start_text_token)
        return torch.nn.functional.pad(framed, (0, 1), value=self.t3.hp.stop_text_token)


def require_speakable(text: str) -> None:
    """Return if a text has something to speak.

    Raises:
        SegmentUnspeakableError: otherwise; chatterbox-tts would say "You need to add some text for me to talk."
    """
    if not any(character.isalnum() for character in text):
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
