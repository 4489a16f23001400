"""Loudness against the standard's own figures and against two other meters."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from ebur128 import read_by_ffmpeg
from numpy.typing import NDArray

from worker.audio.kweighting import high_pass, shelf
from worker.audio.meter import FULL_SCALE, LoudnessMeter


def sine(dbfs: float, seconds: float, rate_hz: int, hertz: float = 1_000.0) -> NDArray[np.int16]:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.rint(FULL_SCALE * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * time_s)).astype(np.int16)


def measured(pcm: NDArray[np.int16], rate_hz: int, step: int = 100_003) -> float | None:
    meter = LoudnessMeter(rate_hz)
    for start in range(0, len(pcm), step):
        meter.feed(pcm[start : start + step])
    meter.close()
    return meter.integrated_lufs(len(pcm))


def by_pyloudnorm(pcm: NDArray[np.int16], rate_hz: int, filter_class: str) -> float:
    return float(pyloudnorm.Meter(rate_hz, filter_class=filter_class).integrated_loudness(pcm / FULL_SCALE))


def test_the_filters_at_48_khz_are_those_of_the_standards_table():
    numerator, denominator = shelf(48_000)
    assert numerator == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285), abs=1e-11)
    assert denominator == pytest.approx((1.0, -1.69065929318241, 0.73248077421585), abs=1e-11)
    numerator, denominator = high_pass(48_000)
    assert numerator == (1.0, -2.0, 1.0)
    assert denominator == pytest.approx((1.0, -1.99004745483398, 0.99007225036621), abs=1e-11)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000, 48_000])
def test_a_sine_of_997_hz_has_the_loudness_that_the_standard_says(rate_hz: int):
    """BS.1770: 0 dBFS in one channel reads -3.01 LKFS; the coefficients are for 48 kHz, others differ a little."""
    assert measured(sine(-20.0, 5.0, rate_hz, 997.0), rate_hz) == pytest.approx(-23.01, abs=0.05)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # EBU Tech 3341, test cases 1 to 5, whose stereo is 3.01 LU louder than this one channel.
        ([(-23.0, 20)], -26.01),
        ([(-33.0, 20)], -36.01),
        ([(-36.0, 10), (-23.0, 60), (-36.0, 10)], -26.01),
        ([(-72.0, 10), (-36.0, 10), (-23.0, 60), (-36.0, 10), (-72.0, 10)], -26.01),
        ([(-26.0, 20), (-20.0, 20.1), (-26.0, 20)], -26.01),
    ],
)
def test_the_gates_do_what_the_ebus_test_signals_ask(parts: list[tuple[float, float]], expected: float):
    pcm = np.concatenate([sine(dbfs, seconds, 48_000) for dbfs, seconds in parts])
    assert measured(pcm, 48_000) == pytest.approx(expected, abs=0.1)


def test_speech_is_as_loud_as_two_other_meters_say(spoken: list[NDArray[np.int16]]):
    pcm = np.concatenate(spoken)
    found = measured(pcm, 24_000)
    assert found == pytest.approx(by_pyloudnorm(pcm, 24_000, "DeMan"), abs=0.02)
    assert found == pytest.approx(by_pyloudnorm(pcm, 24_000, "K-weighting"), abs=0.1)  # other filters, near the table's
    assert found == pytest.approx(float(read_by_ffmpeg(pcm, 24_000)["lavfi.r128.I"]), abs=0.02)


def test_noise_with_pauses_is_as_loud_as_others_say_at_any_rate():
    for rate_hz in (8_000, 11_025, 44_100):
        noise = np.random.default_rng(rate_hz).normal(0.0, 2_000.0, 7 * rate_hz)
        noise[2 * rate_hz : 4 * rate_hz] *= 1e-3
        pcm = noise.astype(np.int16)
        assert measured(pcm, rate_hz) == pytest.approx(by_pyloudnorm(pcm, rate_hz, "DeMan"), abs=0.05)


@pytest.mark.parametrize("step", [997, 2_400, 115_200, 10**9])
def test_it_does_not_matter_how_the_stream_is_cut(step: int):
    pcm = np.random.default_rng(1).normal(0.0, 3_000.0, 130_001).astype(np.int16)
    assert measured(pcm, 24_000, step) == measured(pcm, 24_000)


def test_silence_has_no_loudness():
    assert measured(np.zeros(48_000, np.int16), 24_000) is None
    assert measured(np.zeros(0, np.int16), 24_000) is None
    assert measured(sine(-75.0, 2.0, 24_000), 24_000) is None


def test_what_is_shorter_than_a_gating_block_is_measured_without_a_gate():
    """Two tenths of a second among pauses: the loudness is that of the sound, and not of its mean with the silence."""
    meter = LoudnessMeter(24_000)
    meter.feed(np.concatenate([sine(-20.0, 0.2, 24_000), np.zeros(12_000, np.int16)]))
    meter.close()
    assert meter.integrated_lufs(4_800) == pytest.approx(-23.0, abs=0.1)
