"""How far a T3 of lower precision is from the full one: the numbers, without the measuring.

Knows nothing of checkpoints or files. Dimensions: N speech tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.models.generation import guide, prefix

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class LogitsDistance:
    """How far two models' next-token distributions are apart over the same tokens."""

    #: Mean over the steps of KL(reference || other), nats.
    kl: float
    #: The worst step's.
    max_kl: float
    #: Share of the steps at which both find the same token likeliest.
    top_1: float


def teacher_forced_logits(
    t3: Any, voice: Any, text_tokens: torch.Tensor, speech_tokens: torch.Tensor, cfg_weight: float
) -> torch.Tensor:
    """Return the logits before each of these speech tokens and after the last, [N + 1, V] float32 on the CPU.

    One pass over all tokens at once, so that every model is asked the same questions.
    """
    import torch

    with torch.inference_mode():
        start, _ = prefix(t3, voice, text_tokens, cfg_weight)
        tokens = speech_tokens.to(t3.device)[None]
        positions = t3.speech_pos_emb.emb.weight[1 : tokens.shape[1] + 1]
        spoken = (t3.speech_emb(tokens) + positions).expand(start.shape[0], -1, -1)
        hidden = t3.tfmr(inputs_embeds=torch.cat([start, spoken], dim=1), use_cache=False).last_hidden_state
        logits = t3.speech_head(hidden[:, start.shape[1] - 1 :])
        return torch.cat([guide(step, cfg_weight) for step in logits.unbind(1)]).cpu()


def distance(reference: torch.Tensor, other: torch.Tensor) -> LogitsDistance:
    """Compare logits [N, V] of two models over the same tokens."""
    import torch

    reference_log, other_log = torch.log_softmax(reference.double(), -1), torch.log_softmax(other.double(), -1)
    kl = (reference_log.exp() * (reference_log - other_log)).sum(-1)
    top_1 = (reference.argmax(-1) == other.argmax(-1)).double().mean()
    return LogitsDistance(float(kl.mean()), float(kl.max()), float(top_1))


def error_rate(reference: Sequence[Any], other: Sequence[Any]) -> float:
    """Return the edit distance of two sequences for each item of the reference (Levenshtein 1966)."""
    if not reference:
        return float(bool(other))
    row = list(range(len(other) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, found in enumerate(other, start=1):
            substituted = diagonal + (expected != found)
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, substituted)
    return row[-1] / len(reference)


def mel_distance(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Return the mean difference of two log-mel spectrograms, in dB, over the time that both last.

    Args:
        reference: [samples] at 24 kHz.
        other: [samples] at 24 kHz.
    """
    from chatterbox.models.s3gen.utils.mel import mel_spectrogram

    num_samples = min(reference.numel(), other.numel())
    first, second = (mel_spectrogram(samples[None, :num_samples].cpu()) for samples in (reference, other))
    decibels_per_neper = 8.685889638
    return float((first - second).abs().mean()) * decibels_per_neper


def speaker_similarity(voice_encoder: Any, reference: torch.Tensor, other: torch.Tensor) -> float:
    """Return the cosine of two recordings' speaker embeddings, by the package's own voice encoder.

    Args:
        voice_encoder: with random weights it finds everything similar.
        reference: [samples] at 24 kHz.
        other: [samples] at 24 kHz.
    """
    import librosa

    wavs = [librosa.resample(samples.cpu().numpy(), orig_sr=24_000, target_sr=16_000) for samples in (reference, other)]
    first, second = voice_encoder.embeds_from_wavs(wavs, sample_rate=16_000)
    return float(first @ second)
