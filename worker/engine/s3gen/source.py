"""The source of the vocoder: from the mel to a pitch, and from the pitch to a sum of sines and noise.

Knows nothing of convolutions on samples. All of it is float32 or whole numbers, whatever the precision of the rest: an
error of a thousandth in the pitch is a whole cycle after a few seconds.

Wang, Takaki, Yamagishi: "Neural source-filter waveform models for statistical parametric speech synthesis",
arXiv:1904.12088, section III-B, as chatterbox-tts has it (`SineGen`). Two things differ. The noise of an utterance
follows from its seed alone. And cycles are added up in whole numbers: such a sum is the same in any order and beside
any neighbour, a neighbour that is not a number included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

from worker.engine.s3gen.noise import WORDS_PER_COUNT, normals, random_words, uniforms
from worker.engine.s3gen.tape import resolve

if TYPE_CHECKING:
    from worker.engine.s3gen.tape import Resolution

#: Streams of an utterance's random numbers; the flow has another (`noise.FLOW_STREAM`).
NOISE_STREAM: Final = 0x68696674
PHASE_STREAM: Final = 0x70686173

#: Parts of a cycle that phases are counted in. A float32 above 2**-17 cycles a sample (0.2 Hz) is a whole number of
#: them, so nothing is rounded; an utterance may have 2**23 cycles, which is 10 minutes of a harmonic at 12 kHz.
_PARTS_PER_CYCLE: Final = 2.0**40

#: Cycles of a sample above which a pitch is nonsense; more would not fit into the whole numbers.
_MAX_CYCLES: Final = 1024.0


@dataclass(frozen=True, slots=True)
class SourceWeights:
    """The trained numbers of the source, read from chatterbox-tts' vocoder; nothing of it is changed.

    Attributes:
        pitch_layers: weight [C_out, 3 * C_in] and bias [C_out] of each convolution of the pitch predictor.
        pitch_weight: [1, C] and its bias, of the last, linear layer.
        mix_weight: [1, H], how loud each harmonic is, and its bias.
        num_samples: samples of a mel frame.
    """

    pitch_layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    pitch_weight: torch.Tensor
    pitch_bias: torch.Tensor
    mix_weight: torch.Tensor
    mix_bias: torch.Tensor
    num_samples: int
    sample_rate_hz: int
    amplitude: float
    noise_std: float
    min_pitch_hz: float


def read_source_weights(mel2wav: Any, device: torch.device) -> SourceWeights:
    """Return the weights of a `HiFTGenerator`, weight norm folded, on the device."""

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(device=device, dtype=torch.float32)

    predictor, sines = mel2wav.f0_predictor, mel2wav.m_source.l_sin_gen
    convolutions = [layer for layer in predictor.condnet if hasattr(layer, "kernel_size")]
    assert all(layer.kernel_size == (3,) and layer.padding == (1,) for layer in convolutions)
    return SourceWeights(
        # [C_out, C_in, 3] to rows that hold the taps one behind the other, as `_pitch` lays the frames.
        pitch_layers=tuple((moved(c.weight.permute(0, 2, 1).flatten(1)), moved(c.bias)) for c in convolutions),
        pitch_weight=moved(predictor.classifier.weight),
        pitch_bias=moved(predictor.classifier.bias),
        mix_weight=moved(mel2wav.m_source.l_linear.weight),
        mix_bias=moved(mel2wav.m_source.l_linear.bias),
        num_samples=int(mel2wav.f0_upsamp.scale_factor),
        sample_rate_hz=sines.sampling_rate,
        amplitude=sines.sine_amp,
        noise_std=sines.noise_std,
        min_pitch_hz=sines.voiced_threshold,
    )


def pitch(weights: SourceWeights, mels: torch.Tensor, is_inside: torch.Tensor) -> torch.Tensor:
    """Return the pitch of each frame in Hz, [F] float32.

    The convolutions are matrix products of three frames side by side: those are in full float32 on a GPU too, unless
    somebody asks torch for less, where cuDNN's convolutions would be in TF32.

    Args:
        weights: of the pitch predictor.
        mels: [F, 80] float32, zero in gaps.
        is_inside: [F] bool, False in gaps.
    """
    frames = mels
    for weight, bias in weights.pitch_layers:
        padded = torch.nn.functional.pad(frames, (0, 0, 1, 1))
        beside = torch.cat([padded[:-2], padded[1:-1], padded[2:]], dim=1)
        frames = torch.nn.functional.elu(torch.nn.functional.linear(beside, weight, bias))
        frames = torch.where(is_inside[:, None], frames, 0.0)
    return torch.nn.functional.linear(frames, weights.pitch_weight, weights.pitch_bias)[:, 0].abs()


def cycles_per_sample(weights: SourceWeights, pitch_hz: torch.Tensor) -> torch.Tensor:
    """Return how far each harmonic turns in a sample, [F, H] int64 in parts of a cycle."""
    harmonics = torch.arange(1, weights.mix_weight.shape[1] + 1, device=pitch_hz.device, dtype=torch.float32)
    # First the product, then the quotient, as chatterbox-tts rounds them.
    cycles = pitch_hz[:, None] * harmonics / weights.sample_rate_hz
    # A pitch that is not a number must not become one that differs from machine to machine.
    return (cycles.double().nan_to_num(0.0, 0.0, 0.0).clamp(max=_MAX_CYCLES) * _PARTS_PER_CYCLE).long()


def turns(weights: SourceWeights, turning: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Return how far each harmonic has turned before each frame of its utterance, [F, H] int64 in parts of a cycle.

    Args:
        weights: of the source.
        turning: [F, H] int64, `cycles_per_sample`.
        starts: [F] int64, first frame of each frame's utterance.
    """
    # Whole numbers that overflow wrap around, and their difference is right all the same.
    after = torch.cumsum(turning * weights.num_samples, dim=0)
    before = torch.nn.functional.pad(after, (0, 0, 1, 0))[:-1]
    return before - before[starts]


def source_noise(seeds: torch.Tensor, samples: torch.Tensor, num_harmonics: int) -> torch.Tensor:
    """Return the noise of each harmonic, [S, H] float32, normal.

    Args:
        seeds: [S] int64, of the utterance that each sample belongs to.
        samples: [S] int64, the sample's number within its utterance.
        num_harmonics: H. Four harmonics are one position of the counter; what is left of the last one is dropped.
    """
    quads = torch.arange(-(-num_harmonics // WORDS_PER_COUNT), device=seeds.device)
    words = random_words(seeds[:, None], samples[:, None], quads[None], stream=NOISE_STREAM)
    return normals(words).flatten(1)[:, :num_harmonics]


def source_phases(seeds: torch.Tensor, num_harmonics: int) -> torch.Tensor:
    """Return the phase that each harmonic begins with, [F, H] float32 in [-pi, pi]; that of the lowest is 0.

    Args:
        seeds: [F] int64, of the utterance that each frame belongs to.
        num_harmonics: H.
    """
    quads = torch.arange(-(-num_harmonics // WORDS_PER_COUNT), device=seeds.device)
    words = random_words(seeds[:, None], torch.zeros_like(seeds)[:, None], quads[None], stream=PHASE_STREAM)
    phases = (2.0 * uniforms(words).flatten(1)[:, :num_harmonics] - 1.0) * math.pi
    return phases * (torch.arange(num_harmonics, device=seeds.device) > 0)


def excite(weights: SourceWeights, pitch_hz: torch.Tensor, seeds: torch.Tensor, frames: Resolution) -> torch.Tensor:
    """Return the source, [S] float32, for each sample of the row.

    Args:
        weights: of the source.
        pitch_hz: [F] float32.
        seeds: [F] int64, of the utterance that each frame belongs to.
        frames: what each mel frame belongs to.
    """
    num_samples = weights.num_samples
    num_harmonics = weights.mix_weight.shape[1]
    turning = cycles_per_sample(weights, pitch_hz)
    turned = turns(weights, turning, frames.starts)
    phases = source_phases(seeds, num_harmonics)
    if pitch_hz.is_cuda:
        from worker.engine.s3gen.sourcekernel import launch_source

        return launch_source(
            weights,
            pitch_hz,
            turning,
            turned,
            phases,
            seeds,
            frames.starts,
            stream=NOISE_STREAM,
            parts_per_cycle=_PARTS_PER_CYCLE,
        )
    at = resolve(frames.starts, frames.ends, num_samples)
    nth = torch.arange(1, num_samples + 1, device=pitch_hz.device)
    parts = turned[:, None] + nth[:, None] * turning[:, None]  # [F, num_samples, H]
    # chatterbox-tts adds up in float64 on a CPU and rounds the sum to float32 before it drops whole cycles.
    cycles = (parts.double() / _PARTS_PER_CYCLE).float() % 1
    sines = weights.amplitude * torch.sin(2 * math.pi * cycles + phases[:, None])
    is_voiced = (pitch_hz > weights.min_pitch_hz).float()[:, None, None]
    loudness = is_voiced * weights.noise_std + (1 - is_voiced) * weights.amplitude / 3
    noise = source_noise(seeds.repeat_interleave(num_samples), at.positions - at.starts, num_harmonics)
    harmonics = sines * is_voiced + loudness * noise.view_as(sines)
    return torch.tanh(torch.nn.functional.linear(harmonics, weights.mix_weight, weights.mix_bias)).flatten()
