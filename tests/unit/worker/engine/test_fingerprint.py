from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash

RATE_HZ = 24_000


def recording(hashes: list[str], *, pause_s: float = 0.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    silence = np.zeros(round(pause_s * rate_hz), np.float32)
    return np.concatenate([part for digits in hashes for part in (encode_tones(digits, rate_hz), silence)])


def through_mp3(pcm: np.ndarray, rate_hz: int) -> np.ndarray:
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, rate_hz, format="MP3")
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


@settings(max_examples=25, deadline=None)
@given(
    hashes=st.lists(st.integers(0, 2**32 - 1).map(lambda number: f"{number:08x}"), min_size=1, max_size=6),
    pause_s=st.floats(0, 1),
    gain=st.floats(0.01, 3),
)
def test_every_hash_is_read_back_in_order(hashes: list[str], pause_s: float, gain: float) -> None:
    assert decode_tones(gain * recording(hashes, pause_s=pause_s), RATE_HZ) == hashes


@pytest.mark.parametrize("pause_s", [0.0, 0.013, 0.35])
def test_tones_survive_mp3(pause_s: float) -> None:
    hashes = [tone_hash(str(number)) for number in range(200)]
    assert decode_tones(through_mp3(0.2 * recording(hashes, pause_s=pause_s), RATE_HZ), RATE_HZ) == hashes


def test_tones_survive_48_khz_and_noise() -> None:
    hashes = [tone_hash(str(number)) for number in range(100)]
    pcm = np.repeat(recording(hashes, pause_s=0.2), 2)
    noise = np.random.default_rng(1).normal(0, 0.03, len(pcm))
    assert decode_tones(pcm + noise, 2 * RATE_HZ) == hashes


def test_16_bit_integers_are_read_like_floats() -> None:
    hashes = [tone_hash("a"), tone_hash("b")]
    assert decode_tones((recording(hashes) * 32_767).astype(np.int16), RATE_HZ) == hashes


def test_a_segment_whose_end_is_cut_off_is_not_reported() -> None:
    whole, cut = encode_tones(tone_hash("a"), RATE_HZ), encode_tones(tone_hash("b"), RATE_HZ)
    assert decode_tones(np.concatenate([whole, cut[: int(0.9 * len(cut))]]), RATE_HZ) == [tone_hash("a")]


@pytest.mark.parametrize("num_samples", [0, 10, 24_000])
def test_silence_holds_no_hash(num_samples: int) -> None:
    assert decode_tones(np.zeros(num_samples, np.float32), RATE_HZ) == []


def test_noise_holds_no_hash() -> None:
    assert decode_tones(np.random.default_rng(2).normal(0, 0.3, 20 * RATE_HZ), RATE_HZ) == []


def test_different_texts_have_different_hashes() -> None:
    assert len({tone_hash(str(number)) for number in range(1000)}) == 1000
