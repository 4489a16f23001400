"""Single checks, on sounds that are made for them."""

from __future__ import annotations

import numpy as np
import pytest
from madeupvoice import RATE_HZ, speak

from worker.quality import Examiner
from worker.quality.finding import Finding, Flag, score_of
from worker.quality.spoken import Spoken
from worker.quality.tokens import check_tokens

TEXT = "A lantern swung beside the harbour, and nobody came."


def flags(pcm: np.ndarray, text: str = TEXT, *, rate_hz: int = RATE_HZ, examiner: Examiner | None = None, tokens=None):
    asked = examiner or Examiner()
    found = asked.examine(pcm.astype(np.float32), rate_hz, text=text, language="en", voice="v", tokens=tokens)
    return set(found.flags)


def test_a_take_like_any_other_has_no_flag():
    assert flags(speak(TEXT)) == set()


def with_nan(pcm):
    return np.where(np.arange(len(pcm)) == 500, np.nan, pcm)


def with_a_pause(pcm):
    return np.concatenate([pcm[:20_000], np.zeros(2 * RATE_HZ), pcm[20_000:]])


def with_hum(pcm):
    hum = 0.05 * np.sin(2 * np.pi * 110 * np.arange(RATE_HZ) / RATE_HZ)
    return np.concatenate([pcm[: -RATE_HZ // 4], hum, pcm[-RATE_HZ // 4 :]])


def with_a_stutter(pcm):
    end = len(pcm) - RATE_HZ // 4
    return np.concatenate([pcm[:end], *[pcm[end - 8_000 : end]] * 4, pcm[end:]])


@pytest.mark.parametrize(
    ("spoil", "flag"),
    [
        (with_nan, "not_finite"),
        (lambda pcm: 0 * pcm, "silent"),
        (lambda pcm: pcm * 0.03, "too_quiet"),
        (lambda pcm: np.clip(8 * pcm, -1, 1), "clipped"),
        (lambda pcm: pcm[: len(pcm) * 2 // 3], "cut_off"),
        (lambda pcm: np.concatenate([pcm[: len(pcm) // 6], np.zeros(RATE_HZ // 4)]), "too_short"),
        (lambda pcm: np.repeat(pcm, 3), "too_long"),
        (with_a_pause, "long_pause"),
        (with_hum, "trailing_noise"),
        (with_a_stutter, "looping"),
        (lambda pcm: np.concatenate([pcm, pcm]), "doubled"),
    ],
)
def test_each_fault_has_its_flag(spoil, flag):
    assert flag in flags(spoil(speak(TEXT)))


def test_what_the_text_repeats_is_no_fault():
    assert "looping" not in flags(speak("no way, no way, no way, no way."), "No way, no way, no way, no way.")
    assert "doubled" not in flags(speak("never say never. never say never."), "Never say never. Never say never.")


@pytest.mark.parametrize("num_samples", [1, 2, 100, 640])
def test_a_take_shorter_than_a_look_is_judged_all_the_same(num_samples):
    assert flags(np.full(num_samples, 0.3))


def test_tokens_that_go_round_in_circles_are_found():
    rng = np.random.default_rng(3)
    speech = rng.integers(0, 6_561, 200)
    assert check_tokens(speech) is None
    assert check_tokens(np.concatenate([speech, np.full(40, 4_299)])) is None  # a pause
    assert check_tokens(np.concatenate([speech, np.tile(speech[-20:], 3)])) == Finding(Flag.TOKENS_REPEAT, 0.8)
    assert check_tokens(np.full(90, 7)) is not None
    assert check_tokens(np.zeros(0, np.int64)) is None
    assert "tokens_repeat" in flags(speak(TEXT), tokens=np.full(90, 7))


def test_a_voice_is_held_to_its_own_pace_once_it_is_known():
    texts = [f"{TEXT[: 12 + 2 * number]} went on and on." for number in range(40)]
    examiner = Examiner()
    slow = [flags(speak(text, seed, pace=1.5), text, examiner=examiner) for seed, text in enumerate(texts)]
    assert slow == [set()] * 40
    hurried = speak(TEXT, 77, pace=0.95)
    assert flags(hurried) == set()  # for a stranger it is a pace like any other
    assert flags(hurried, examiner=examiner) == {"too_short"}


@pytest.mark.parametrize("text", ["Yes.", "...", "42", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "a" * 300])
def test_any_text_has_features(text):
    assert np.isfinite(Spoken.of(text).features).all()


def test_a_score_falls_with_each_fault():
    cut, quiet = Finding(Flag.CUT_OFF, 0.6), Finding(Flag.TOO_QUIET, 0.3)
    assert score_of(()) == 1.0
    assert score_of((quiet,)) > score_of((cut,)) > score_of((cut, quiet)) > score_of((Finding(Flag.SILENT, 1.0),)) == 0
