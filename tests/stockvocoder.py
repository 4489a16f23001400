"""chatterbox-tts' own vocoder with random weights, and a way to give it the noise that ours draws."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch  # noqa: TID253 - the tests compare tensors

from worker.engine.s3gen.source import source_noise, source_phases

SEED = 20_261_122
SAMPLES_PER_FRAME = 480
#: Random weights give a pitch of 0.1 Hz, which is no voice. With these it goes from 0 to 40 Hz around the limit of 10
#: from which an utterance is voiced, so both kinds of frames are there.
PITCH_GAIN, PITCH_HZ = 300.0, 9.0


def stock_vocoder() -> Any:
    """Return the class that S3Gen builds, with seeded random weights and a pitch that is heard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from chatterbox.models.s3gen import hifigan
        from chatterbox.models.s3gen.f0_predictor import ConvRNNF0Predictor

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        vocoder = hifigan.HiFTGenerator(
            sampling_rate=24_000,
            upsample_rates=[8, 5, 3],
            upsample_kernel_sizes=[16, 11, 7],
            source_resblock_kernel_sizes=[7, 7, 11],
            source_resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5], [1, 3, 5]],
            f0_predictor=ConvRNNF0Predictor(),
        )
        vocoder.f0_predictor.classifier.weight.mul_(PITCH_GAIN)
        vocoder.f0_predictor.classifier.bias.fill_(PITCH_HZ)
    return vocoder.eval()


def stock_fade() -> torch.Tensor:
    """Return the fade of S3Gen: 20 ms of nothing, 20 ms of a rising cosine."""
    rising = (torch.cos(torch.linspace(torch.pi, 0, 480)) + 1) / 2
    return torch.cat([torch.zeros(480), rising])


def speak_alone(vocoder: Any, fade: torch.Tensor, mel: torch.Tensor, seed: int) -> torch.Tensor:
    """Return what the stock vocoder makes of one mel [80, F], with the phases and the noise of this seed, [480 * F]."""
    from chatterbox.models.s3gen import hifigan

    num_samples = SAMPLES_PER_FRAME * mel.shape[1]
    noise = source_noise(torch.tensor([seed]).expand(num_samples), torch.arange(num_samples), 9).T[None]
    phases = source_phases(torch.tensor([seed]), 9)[..., None]
    draws = SimpleNamespace(sample=lambda sample_shape: phases.clone().view(sample_shape))
    real = torch.randn_like
    with (
        torch.inference_mode(),
        patch.object(hifigan, "Uniform", lambda low, high: draws),
        # The second draw of the stock source is thrown away.
        patch.object(torch, "randn_like", lambda like: noise if like.shape == noise.shape else real(like)),
    ):
        samples, _ = vocoder.inference(speech_feat=mel[None])
    # S3Gen multiplies without looking whether an utterance is as long as its fade; the shortest is half as long.
    num_faded = min(num_samples, fade.numel())
    spoken = samples[0].clone()
    spoken[:num_faded] *= fade[:num_faded]
    return spoken
