"""Text tokens to speech tokens: the generation loop of T3, token for token that of chatterbox-tts, without its traps.

Dimensions: B rows (1, or 2 with guidance: the text, and no text), T tokens, C channels, V speech vocabulary. Knows
nothing of audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from worker.errors import NoEndOfSpeechError, NoSpeechError, SegmentUnspeakableError
from worker.models.alignment import watch_alignment
from worker.models.sampling import Sampling, choose_token

if TYPE_CHECKING:
    import torch

#: Where chatterbox-tts stops listening: 40 s of speech at 25 tokens a second.
DEFAULT_MAX_SPEECH_TOKENS: Final = 1000
#: Speech tokens per second of audio.
TOKENS_PER_S: Final = 25
#: Speech tokens that S3Gen has a sound for are below this; start, end and unused ids lie above.
NUM_SOUNDS: Final = 6561


def generate_tokens(
    t3: Any,
    voice: Any,
    text_tokens: torch.Tensor,
    sampling: Sampling,
    *,
    max_tokens: int = DEFAULT_MAX_SPEECH_TOKENS,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, bool]:
    """Run T3 until it ends the speech or `max_tokens` are reached.

    The T3 must not be in use elsewhere meanwhile. The voice is left as it is.

    Args:
        t3: of any precision, on any device.
        voice: a `T3Cond`.
        text_tokens: [T] int64, start and stop token included.
        sampling: how tokens are drawn.
        max_tokens: the ceiling.
        generator: of the device of T3; None is torch's own, as in chatterbox-tts.

    Returns:
        The drawn tokens [N] int64 without the end token, and whether there was one.

    Raises:
        SegmentUnspeakableError: there are more text tokens than T3 has positions for.
        SynthesisError: the logits are not finite.
    """
    import torch

    require_positions(t3, text_tokens, max_tokens)
    with torch.inference_mode():
        embeds, text_start = prefix(t3, voice, text_tokens, sampling.cfg_weight)
        tokens = torch.full((1, max_tokens + 1), t3.hp.start_speech_token, dtype=torch.long, device=t3.device)
        positions = t3.speech_pos_emb.emb.weight
        past, number = None, t3.hp.start_speech_token
        text_end = text_start + text_tokens.numel()
        with attention_kernels(embeds.dtype), watch_alignment(t3, text_start=text_start, text_end=text_end) as analyzer:
            for step in range(max_tokens):
                output = t3.tfmr(inputs_embeds=embeds, past_key_values=past, use_cache=True)
                past = output.past_key_values
                # Of the whole prefix, though only its end is used: a matrix product of another height rounds otherwise.
                logits = guide(t3.speech_head(output.last_hidden_state)[:, -1], sampling.cfg_weight)
                if analyzer is not None:
                    logits = analyzer.step(logits, next_token=number)
                token, number = choose_token(logits, tokens[:, : step + 1], sampling, generator)
                if number == t3.hp.stop_speech_token:
                    return tokens[0, 1 : step + 1], True
                tokens[:, step + 1 : step + 2] = token
                embeds = (t3.speech_emb(token) + positions[step + 1]).expand(embeds.shape[0], -1, -1)
    return tokens[0, 1:], False


@contextmanager
def attention_kernels(dtype: torch.dtype) -> Iterator[None]:
    """Keep cuDNN's attention out of a loop in half precision.

    It makes a plan for each length of the sequence, and here each step has another: measured on an H200, a step in
    bf16 took 11.4 ms with it where one in float32, which cuDNN does not do, took 4.7 ms.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if dtype == torch.float32:
        yield
        return
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield


def prefix(t3: Any, voice: Any, text_tokens: torch.Tensor, cfg_weight: float) -> tuple[torch.Tensor, int]:
    """Return what T3 reads before the first token, and where the text begins in it.

    The layout is that which T3 was trained on: voice, text, and the start token twice, both at position 0. With
    guidance there is a second row, whose text embeddings are zero and whose text positions are not.

    Returns:
        [B, T, C] in the precision of T3; the number of positions of the voice.
    """
    import torch

    num_rows = 2 if cfg_weight > 0 else 1
    rows = text_tokens.to(device=t3.device, dtype=torch.long).expand(num_rows, -1)
    start = torch.full((num_rows, 1), t3.hp.start_speech_token, dtype=torch.long, device=t3.device)
    embeds, num_voice = t3.prepare_input_embeds(
        t3_cond=_private_copy(voice, t3), text_tokens=rows, speech_tokens=start, cfg_weight=cfg_weight
    )
    second_start = t3.speech_emb(start) + t3.speech_pos_emb.get_fixed_embedding(0)
    return torch.cat([embeds, second_start], dim=1), num_voice


def guide(logits: torch.Tensor, cfg_weight: float) -> torch.Tensor:
    """Join the rows of a step: [B, V] in any precision to [1, V] float32 (Ho & Salimans 2022, arXiv 2207.12598)."""
    logits = logits.float()
    if logits.shape[0] == 1:
        return logits
    with_text, without_text = logits[0:1], logits[1:2]
    return with_text + cfg_weight * (with_text - without_text)


def require_positions(t3: Any, text_tokens: torch.Tensor, max_tokens: int) -> None:
    """Return if T3 has a position for every token; past the last one lies a device assert.

    Raises:
        SegmentUnspeakableError: otherwise.
    """
    num_positions = t3.text_pos_emb.emb.num_embeddings
    if text_tokens.numel() > num_positions:
        reason = f"the text is {text_tokens.numel() - 2} tokens long, and the model reads {num_positions - 2}: split it"
        raise SegmentUnspeakableError(reason)
    num_positions = t3.speech_pos_emb.emb.num_embeddings
    if not 0 < max_tokens < num_positions:
        raise SegmentUnspeakableError(f"the model speaks 1 to {num_positions - 1} tokens, not {max_tokens}")


def require_speech(tokens: torch.Tensor, *, has_ended: bool) -> torch.Tensor:
    """Return the tokens that S3Gen has a sound for.

    Args:
        tokens: [N] int64.
        has_ended: whether the model ended the speech itself.

    Raises:
        NoEndOfSpeechError: it did not; what it said is cut off or runs away.
        NoSpeechError: it said nothing.
    """
    if not has_ended:
        num_tokens = tokens.numel()
        reason = (
            f"no end after {num_tokens} speech tokens ({num_tokens / TOKENS_PER_S:.0f} s): the audio would be cut off"
        )
        raise NoEndOfSpeechError(reason)
    tokens = tokens[tokens < NUM_SOUNDS]
    if tokens.numel() == 0:
        raise NoSpeechError("the model ended the speech before it began")
    return tokens


def _private_copy(voice: Any, t3: Any) -> Any:
    """Return the voice in the precision of T3; T3 writes into what it is given, so it is given a copy."""
    import torch

    dtype = t3.speech_emb.weight.dtype

    def fit(value: Any) -> Any:
        if not torch.is_tensor(value):
            return value
        return value.to(device=t3.device, dtype=dtype if value.is_floating_point() else None)

    # Made again from the tokens: another T3, of another precision, may have left its own behind.
    return replace(
        voice,
        speaker_emb=fit(voice.speaker_emb),
        cond_prompt_speech_tokens=fit(voice.cond_prompt_speech_tokens),
        cond_prompt_speech_emb=None
        if voice.cond_prompt_speech_tokens is not None
        else fit(voice.cond_prompt_speech_emb),
        emotion_adv=fit(voice.emotion_adv),
    )
