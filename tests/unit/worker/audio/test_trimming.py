"""Silence at the edges of takes goes; speech never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.audio.joining import joined
from worker.audio.segment import FULL_SCALE
from worker.audio.trimming import LEAD_MS, TAIL_MS, Span, heard_span
from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash

RATE_HZ = 24_000
WINDOW = RATE_HZ // 100


def as_stored(pcm: NDArray[np.floating]) -> NDArray[np.int16]:
    return np.rint(np.clip(pcm, -1.0, 1.0) * FULL_SCALE).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    before=st.integers(0, 10_000),
    length=st.integers(2_400, 60_000),
    after=st.integers(0, 10_000),
    noise_db=st.floats(-90.0, -55.0),
    rate_hz=st.sampled_from([8_000, 22_050, 24_000, 48_000]),
)
def test_speech_of_any_place_and_length_is_whole(
    seed: int, before: int, length: int, after: int, noise_db: float, rate_hz: int
):
    """Syllables that come and go by 30 dB, in noise that lies so far below the speech as a whole.

    The speech is a tenth of the take or more: what stands for it is a percentile, and in doubt nothing is cut.
    """
    rng = np.random.default_rng(seed)
    syllables = np.repeat(10 ** rng.uniform(-1.5, 0.0, length // 1_200 + 1), 1_200)[:length]
    speech = 0.3 * syllables * np.sin(2 * np.pi * 300 * np.arange(length) / rate_hz)
    level = np.sqrt(np.mean(speech**2))
    take = rng.normal(0.0, level * 10 ** (noise_db / 20), before + length + after)
    take[before : before + length] += speech
    heard = heard_span(as_stored(take), rate_hz)
    assert heard.start_samples <= before
    assert heard.start_samples + heard.num_samples >= before + length
    # And the silence is gone, but for the margins and the window that the edge lies in.
    window = rate_hz // 100
    assert heard.start_samples >= before - LEAD_MS * rate_hz // 1_000 - 2 * window
    assert before + length + TAIL_MS * rate_hz // 1_000 + 2 * window >= heard.start_samples + heard.num_samples


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4_000), st.sampled_from([8_000, 24_000]))
def test_any_take_keeps_something_and_nothing_beyond_its_ends(data: bytes, rate_hz: int):
    pcm = np.frombuffer(data[: len(data) // 2 * 2], np.int16)
    heard = heard_span(pcm, rate_hz)
    assert 0 <= heard.start_samples <= heard.start_samples + heard.num_samples <= len(pcm)
    assert heard.num_samples or not len(pcm)
    assert len(joined(pcm, heard, 100, rate_hz)) == heard.num_samples + 100


def test_what_is_cut_off_the_draft_voice_is_no_speech(spoken: list[NDArray[np.int16]]):
    """Every 10 ms that are cut lie 42 dB below the speech or lower, also where it ends in an f, a th or a sh."""
    num_cut = 0
    for pcm in spoken:
        heard = heard_span(pcm, RATE_HZ)
        level = np.sqrt(np.mean(pcm.astype(float) ** 2))
        cut = np.concatenate([pcm[: heard.start_samples], pcm[heard.start_samples + heard.num_samples :]]).astype(float)
        num_cut += len(cut)
        windows = cut[: len(cut) // WINDOW * WINDOW].reshape(-1, WINDOW)
        assert np.sqrt(np.mean(windows**2, axis=1)).max() < level * 10 ** (-42 / 20)
    assert num_cut > 0.5 * RATE_HZ  # the voice leaves three tenths of a second at each take


def test_the_words_of_the_draft_voice_sound_the_same_when_silence_is_put_around_them(spoken: list[NDArray[np.int16]]):
    for pcm in spoken:
        padded = np.pad(pcm, (RATE_HZ, 2 * RATE_HZ))
        bare, in_silence = heard_span(pcm, RATE_HZ), heard_span(padded, RATE_HZ)
        # Windows lie elsewhere and there is more silence to know the noise by, so edges may move by little.
        assert in_silence.start_samples == pytest.approx(RATE_HZ + bare.start_samples, abs=2 * WINDOW)
        end = RATE_HZ + bare.start_samples + bare.num_samples
        assert in_silence.start_samples + in_silence.num_samples == pytest.approx(end, abs=3 * WINDOW)


def test_the_tones_of_the_test_engine_survive():
    for word in ("one", "two", "three"):
        tones = encode_tones(tone_hash(word), RATE_HZ)
        assert heard_span(as_stored(tones), RATE_HZ) == Span(0, len(tones))
        quiet = as_stored(np.pad(tones * 0.02, (9_000, 20_000)))
        heard = heard_span(quiet, RATE_HZ)
        assert heard.num_samples < len(tones) + 0.12 * RATE_HZ
        assert decode_tones(joined(quiet, heard, 2_400, RATE_HZ), RATE_HZ) == [tone_hash(word)]


def test_a_silent_take_is_left_as_it_is():
    assert heard_span(np.zeros(5_000, np.int16), RATE_HZ) == Span(0, 5_000)
    assert heard_span(np.zeros(0, np.int16), RATE_HZ) == Span(0, 0)


def test_a_click_does_not_pass_for_the_loudness_of_the_speech():
    time_s = np.arange(RATE_HZ) / RATE_HZ
    take = np.pad(0.01 * np.sin(2 * np.pi * 300 * time_s), (6_000, 6_000))
    take[20_000] = 1.0
    heard = heard_span(as_stored(take), RATE_HZ)
    assert heard.start_samples <= 6_000
    assert heard.start_samples + heard.num_samples >= 6_000 + RATE_HZ
