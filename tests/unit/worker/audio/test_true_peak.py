from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.audio.truepeak import MAX_OVERSHOOT, OVERSAMPLING, REACH, TruePeakMeter, cell_peaks


def measured(pcm: NDArray[np.int16], step: int = 7_001) -> float:
    meter = TruePeakMeter()
    for start in range(0, len(pcm), step):
        meter.feed(pcm[start : start + step])
    meter.close()
    return meter.peak


def swelling(wave: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return a wave without edges, which would ring."""
    return np.rint(wave * np.hanning(len(wave))).astype(np.int16)


def oversampled_peak(pcm: NDArray[np.int16], times: int = 16) -> float:
    """Return the peak of the band-limited wave through the samples, by a transform of the whole."""
    spectrum = np.fft.rfft(pcm.astype(np.float64))
    return float(np.abs(np.fft.irfft(spectrum, times * len(pcm)) * times).max())


def test_the_wave_is_found_between_its_samples():
    """A sine of a quarter of the rate, sampled 45 degrees beside its peaks: they are 3 dB above every sample."""
    pcm = swelling(10_000 * np.sin(np.pi / 2 * np.arange(4_000) + np.pi / 4))
    assert np.abs(pcm).max() == pytest.approx(7_071, abs=2)
    assert measured(pcm) == pytest.approx(10_000, rel=0.001)


@pytest.mark.parametrize("cycles_per_sample", [0.02, 0.11, 0.23, 0.37, 0.44])
def test_it_is_as_high_as_a_finer_look_says(cycles_per_sample: float):
    pcm = swelling(9_000 * np.sin(2 * np.pi * cycles_per_sample * np.arange(6_000) + 1.0))
    # The top of a wave may lie in the middle of two of the points, which are so far apart.
    missed = 1 - np.cos(np.pi * cycles_per_sample / OVERSAMPLING)
    assert measured(pcm) <= oversampled_peak(pcm) * 1.001
    assert measured(pcm) >= oversampled_peak(pcm) * (1 - missed) * 0.999


def test_speech_is_as_high_as_a_finer_look_says(spoken: list[NDArray[np.int16]]):
    for pcm in spoken[:3]:
        assert measured(pcm) == pytest.approx(oversampled_peak(pcm), rel=0.02)


@pytest.mark.parametrize("step", [1, 59, 60, 61, 10**9])
def test_it_does_not_matter_how_the_stream_is_cut(step: int):
    pcm = np.random.default_rng(0).normal(0.0, 3_000.0, 2_000).astype(np.int16)
    assert measured(pcm, step) == measured(pcm)


def test_a_peak_in_the_very_first_or_last_sample_counts():
    for position in (0, -1):
        pcm = np.zeros(1_000, np.int16)
        pcm[position] = -20_000
        assert measured(pcm) == 20_000


def test_what_is_not_looked_at_closely_could_not_have_been_higher():
    samples = np.random.default_rng(0).normal(0.0, 1.0, 2 * REACH + 60 * 400).astype(np.float32)
    samples *= np.repeat(np.random.default_rng(1).uniform(0.0, 1.0, 400), 60).astype(np.float32).sum() / 400
    exact = cell_peaks(samples, 60, 0.0)
    for floor in (0.5, 2.0, 3.0, 5.0):
        found = cell_peaks(samples, 60, floor)
        np.testing.assert_array_equal(found[exact > floor], exact[exact > floor])
        assert (found <= exact).all()
    assert 1.5 < MAX_OVERSHOOT < 2.5
