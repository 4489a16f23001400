"""The source of the vocoder in one kernel on CUDA; `source.py` says what it computes.

Knows nothing of rows and utterances. As plain torch the source is some sixty passes over nine numbers for each sample,
most of them for the random ones; here a sample's numbers stay in registers.
"""

# ruff: noqa: N803 - what the kernel is compiled for is in capitals

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch  # noqa: TID253 - imported on CUDA only
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from worker.engine.s3gen.source import SourceWeights

_BLOCK: Final = 256
#: 2 pi as float32, which is what torch multiplies float32 numbers by.
_TURN: Final = tl.constexpr(2.0 * math.pi)


def launch_source(
    weights: SourceWeights,
    pitch_hz: torch.Tensor,
    turning: torch.Tensor,
    turned: torch.Tensor,
    phases: torch.Tensor,
    seeds: torch.Tensor,
    starts: torch.Tensor,
    *,
    stream: int,
    parts_per_cycle: float,
) -> torch.Tensor:
    """Return the source, [F * num_samples] float32.

    Args:
        weights: of the source.
        pitch_hz: [F] float32 on CUDA.
        turning: [F, H] int64, parts of a cycle in a sample.
        turned: [F, H] int64, parts of a cycle before the frame.
        phases: [F, H] float32.
        seeds: [F] int64.
        starts: [F] int64, first frame of each frame's utterance.
        stream: of the random numbers.
        parts_per_cycle: what `turning` and `turned` count.
    """
    num_frames, num_harmonics = turning.shape
    source = torch.empty(num_frames * weights.num_samples, device=pitch_hz.device)
    _source[(triton.cdiv(source.numel(), _BLOCK),)](
        source,
        pitch_hz,
        turning.contiguous(),
        turned.contiguous(),
        phases.contiguous(),
        seeds,
        starts,
        weights.mix_weight,
        weights.mix_bias,
        source.numel(),
        1.0 / parts_per_cycle,
        weights.min_pitch_hz,
        weights.amplitude,
        weights.noise_std,
        stream,
        NUM_SAMPLES=weights.num_samples,
        HARMONICS=num_harmonics,
        BLOCK=_BLOCK,
        num_warps=4,
    )
    return source


@triton.jit  # type: ignore[untyped-decorator]
def _pick(numbers, index: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return a random word as a number in (0, 1], as `noise.uniforms` does."""
    return ((numbers[index] >> 8) + 1).to(tl.float32) * 5.9604644775390625e-8


@triton.jit(do_not_specialize=["num_samples"])  # type: ignore[untyped-decorator]
def _source(  # type: ignore[no-untyped-def]
    source,
    pitch_hz,
    turning,
    turned,
    phases,
    seeds,
    starts,
    mix_weight,
    mix_bias,
    num_samples,
    cycle,
    min_pitch_hz,
    amplitude,
    noise_std,
    stream,
    NUM_SAMPLES: tl.constexpr,
    HARMONICS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Make BLOCK samples."""
    sample = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_there = sample < num_samples
    frame = sample // NUM_SAMPLES
    seed = tl.load(seeds + frame, mask=is_there, other=0)
    # What the random numbers are counted by: the sample's number within its utterance.
    count = (sample - tl.load(starts + frame, mask=is_there, other=0) * NUM_SAMPLES).to(tl.uint32)
    nth = (sample % NUM_SAMPLES + 1).to(tl.int64)
    is_voiced = tl.load(pitch_hz + frame, mask=is_there, other=0.0) > min_pitch_hz
    loudness = tl.where(is_voiced, noise_std, amplitude / 3)
    total = tl.zeros([BLOCK], tl.float32) + tl.load(mix_bias)
    zero = count * 0
    for harmonic in tl.static_range(HARMONICS):
        if harmonic % 4 == 0:
            words = tl.philox(seed, count, zero + harmonic // 4, zero + stream, zero)
            first_radius = tl.sqrt(-2.0 * tl.log(_pick(words, 0)))
            first_angle = _TURN * _pick(words, 1)
            second_radius = tl.sqrt(-2.0 * tl.log(_pick(words, 2)))
            second_angle = _TURN * _pick(words, 3)
            drawn = (
                first_radius * tl.cos(first_angle),
                second_radius * tl.cos(second_angle),
                first_radius * tl.sin(first_angle),
                second_radius * tl.sin(second_angle),
            )
        at = frame * HARMONICS + harmonic
        parts = tl.load(turned + at, mask=is_there, other=0) + nth * tl.load(turning + at, mask=is_there, other=0)
        cycles = (parts.to(tl.float64) * cycle).to(tl.float32)
        angle = _TURN * (cycles - tl.floor(cycles)) + tl.load(phases + at, mask=is_there, other=0.0)
        sine = tl.where(is_voiced, amplitude * tl.sin(angle), 0.0)
        total += (sine + loudness * drawn[harmonic % 4]) * tl.load(mix_weight + harmonic)
    # tanh, in the form that does not overflow.
    shrunk = tl.exp(-2.0 * tl.abs(total))
    magnitude = (1.0 - shrunk) / (1.0 + shrunk)
    tl.store(source + sample, tl.where(total < 0, -magnitude, magnitude), mask=is_there)
