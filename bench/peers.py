"""What the engine is measured against, on the same segments: the stock package, and its T3 in int8 by the plain recipe.

Both are called as their users call them, one segment after the other. Random weights neither read text nor end by
themselves, so the tokenizer gives the tokens of the segment, and T3 stops at its length.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch  # noqa: TID253 - a benchmark of models
from chatterbox.tts import ChatterboxTTS, Conditionals  # noqa: TID253

from worker.models.quantization import replace_linears

#: Seconds of the recording that a voice is made of, as chatterbox-tts takes it for S3Gen, and tokens of it for T3.
PROMPT_S: Final = 10
NUM_T3_PROMPT_TOKENS: Final = 150

PeerName = Literal["stock", "plain int8"]


@dataclass(frozen=True, slots=True)
class Script:
    """One segment of the benchmark."""

    #: [T] int64, without start and stop token.
    text_tokens: torch.Tensor
    num_speech_tokens: int
    #: Which of the voices speaks.
    voice: int
    seed: int


def make_scripts(lengths: Sequence[tuple[int, int]], *, num_voices: int) -> list[Script]:
    """Return a segment for each pair of text tokens and speech tokens; the voices take turns."""
    generator = torch.Generator().manual_seed(7)
    return [
        Script(torch.randint(10, 600, (num_text,), generator=generator), num_speech, index % num_voices, index)
        for index, (num_text, num_speech) in enumerate(lengths)
    ]


def make_voice(seed: int, device: str) -> Conditionals:
    """Return the conditionals that a recording of ten seconds would give, made of noise."""
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    generator = torch.Generator().manual_seed(seed)
    speaker = torch.randn(1, 256, generator=generator).abs()
    prompt_tokens = torch.randint(0, 6561, (1, 25 * PROMPT_S), generator=generator)
    reference = {
        "prompt_token": prompt_tokens,
        "prompt_token_len": torch.tensor([prompt_tokens.shape[1]]),
        "prompt_feat": torch.randn(1, 2 * prompt_tokens.shape[1], 80, generator=generator) - 5,
        "prompt_feat_len": None,
        "embedding": torch.randn(1, 192, generator=generator),
    }
    spoken = T3Cond(
        speaker_emb=speaker / speaker.norm(),
        cond_prompt_speech_tokens=prompt_tokens[:, :NUM_T3_PROMPT_TOKENS],
        emotion_adv=0.5 * torch.ones(1, 1, 1),
    )
    return Conditionals(spoken, reference).to(device)


def load_peer(name: PeerName, checkpoint: Path, device: str) -> ChatterboxTTS:
    """Load the stock class; for the plain recipe its T3 is rounded on the way to the device."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # 0.50 logs a line for each layer of each step
    with contextlib.redirect_stdout(io.StringIO()):
        if name == "stock":
            return ChatterboxTTS.from_local(checkpoint, device)
        model = ChatterboxTTS.from_local(checkpoint, "cpu")
        replace_linears(model.t3, threshold=0.0)
        for part in (model.t3, model.s3gen, model.ve):
            part.to(device)
        model.device = device
        return model


def speak_one_by_one(model: ChatterboxTTS, scripts: Sequence[Script], voices: Sequence[Conditionals]) -> dict[str, Any]:
    """Speak segments as the package does and return audio seconds, wall seconds and their ratio."""
    stock_inference = model.t3.inference
    audio_s = 0.0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        started_s = time.perf_counter()
        for script in scripts:
            model.tokenizer = _GivenTokens(script.text_tokens)
            model.t3.inference = _until(stock_inference, script.num_speech_tokens)
            model.conds = _copy(voices[script.voice])
            torch.manual_seed(script.seed)
            audio_s += model.generate("Given.", cfg_weight=0.5, temperature=0.8).shape[-1] / model.sr
        wall_s = time.perf_counter() - started_s
    model.t3.inference = stock_inference
    return {
        "num_segments": len(scripts),
        "audio_s": round(audio_s, 2),
        "wall_s": round(wall_s, 3),
        "x_real_time": round(audio_s / wall_s, 3),
    }


class _GivenTokens:
    """Stands where the tokenizer is and gives the tokens of one segment, whatever the text."""

    def __init__(self, tokens: torch.Tensor) -> None:
        self._tokens = tokens

    def text_to_tokens(self, _text: str) -> torch.Tensor:
        return self._tokens[None]


def _until(inference: Any, num_tokens: int) -> Any:
    """Return the stock loop with another ceiling than the 1,000 tokens that its caller names."""

    def limited(**options: Any) -> torch.Tensor:
        options["max_new_tokens"] = num_tokens
        spoken: torch.Tensor = inference(**options)
        return spoken

    return limited


def _copy(voice: Conditionals) -> Conditionals:
    """Return a voice that the package may write into."""
    from dataclasses import replace

    return Conditionals(replace(voice.t3), dict(voice.gen))
