from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.audio.limiter import Gain, Leveller, Limiter
from worker.audio.meter import FULL_SCALE
from worker.audio.truepeak import TruePeakMeter

RATE_HZ = 24_000


def levelled(leveller: Leveller, pcm: NDArray[np.int16], step: int = 10_007) -> NDArray[np.int16]:
    parts = [leveller.feed(pcm[start : start + step]) for start in range(0, len(pcm), step)]
    return np.concatenate([*parts, leveller.close()])


def true_peak_dbtp(pcm: NDArray[np.int16]) -> float:
    meter = TruePeakMeter()
    meter.feed(pcm)
    meter.close()
    return float(20 * np.log10(meter.peak / FULL_SCALE))


@pytest.mark.parametrize("gain_db", [0.0, 9.0, 20.0])
def test_nothing_rises_above_the_ceiling_and_nothing_is_lost(spoken: list[NDArray[np.int16]], gain_db: float):
    pcm = np.concatenate(spoken)
    limited = levelled(Limiter(RATE_HZ, 10 ** (gain_db / 20), -3.0), pcm)
    assert len(limited) == len(pcm)
    assert true_peak_dbtp(limited) <= -3.0
    if gain_db == 9.0:  # speech is still speech: the same wave, a little lower at its highest points
        assert np.corrcoef(limited, pcm)[0, 1] > 0.98


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_samples=st.integers(0, 6_000),
    gain=st.floats(0.1, 60.0),
    ceiling=st.floats(-12.0, 0.0),
    rate_hz=st.sampled_from([8_000, 24_000, 48_000]),
)
def test_no_signal_gets_above_the_ceiling(seed: int, num_samples: int, gain: float, ceiling: float, rate_hz: int):
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0.0, 1.0, 61), 100)[:num_samples]
    pcm = (rng.uniform(-32_768, 32_767, num_samples) * envelope).astype(np.int16)
    limited = levelled(Limiter(rate_hz, gain, ceiling), pcm)
    assert len(limited) == num_samples
    if limited.any():
        assert true_peak_dbtp(limited) <= ceiling


def test_only_the_neighbourhood_of_a_peak_is_touched():
    time_s = np.arange(RATE_HZ) / RATE_HZ
    pcm = (3_000 * np.sin(2 * np.pi * 200 * time_s)).astype(np.int16)
    pcm[12_000:12_100] *= 10
    limited = levelled(Limiter(RATE_HZ, 1.0, -6.0), pcm)
    near = slice(12_000 - 50 * 24, 12_100 + 50 * 24)  # 50 ms on each side
    assert np.abs(limited[near]).max() <= 16_423
    limited[near] = pcm[near]
    np.testing.assert_array_equal(limited, pcm)


def test_the_gain_moves_smoothly():
    """A steady low tone with one loud burst: the tone around it gets quieter and louder again without a step."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    carrier = np.full(RATE_HZ, 8_000.0)
    carrier[12_000:12_240] = 30_000 * np.sin(2 * np.pi * 2_000 * time_s[:240])
    limited = levelled(Limiter(RATE_HZ, 1.0, -9.0), carrier.astype(np.int16)).astype(float)
    gains = limited[10_500:11_990] / 8_000
    assert gains.min() < 0.6
    assert np.abs(np.diff(gains)).max() < 0.005


@pytest.mark.parametrize("step", [1, 59, 240, 2_400, 10**9])
def test_it_does_not_matter_how_the_stream_is_cut(step: int):
    rng = np.random.default_rng(3)
    pcm = (rng.normal(0.0, 6_000.0, 5_000) * np.repeat(rng.uniform(0, 2, 50), 100)).clip(-32_768, 32_767)
    pcm = pcm.astype(np.int16)
    np.testing.assert_array_equal(
        levelled(Limiter(RATE_HZ, 1.7, -3.0), pcm, step), levelled(Limiter(RATE_HZ, 1.7, -3.0), pcm)
    )


def test_a_gain_alone_multiplies_and_one_leaves_every_sample():
    pcm = np.array([0, 1, -3, 20_000, -20_000], np.int16)
    assert levelled(Gain(1.5), pcm).tolist() == [0, 2, -4, 30_000, -30_000]
    assert levelled(Gain(2.0), pcm).tolist() == [0, 2, -6, 32_767, -32_768]
    np.testing.assert_array_equal(levelled(Gain(1.0), pcm), pcm)
