"""Where words are in a text, and their times written into a take's file as numbers and read again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.audio.words import MAX_NUMBERS, NO_WORDS, Words, pack, unpack, word_spans, words_in


def rows(num_words: int, step: int = 1) -> Words:
    """Return words of one character and 40 ms, with a gap behind each."""
    first = np.arange(num_words)
    return np.stack([2 * first, 2 * first + 1, 80 * step * first, 80 * step * first + 40], axis=1).astype(np.int32)


@st.composite
def some_words(draw: st.DrawFn) -> Words:
    steps = draw(st.lists(st.tuples(*[st.integers(0, 300), st.integers(1, 300)] * 2), max_size=20))
    found, character, time_ms = [], 0, 0
    for gap_chars, num_chars, gap_ms, lasts_ms in steps:
        start, begin_ms = character + gap_chars, time_ms + gap_ms
        character, time_ms = start + num_chars, begin_ms + lasts_ms
        found.append((start, character, begin_ms, time_ms))
    return np.array(found, np.int32).reshape(-1, 4)


@settings(deadline=None)
@given(some_words())
def test_words_come_back_as_they_were(words: Words) -> None:
    numbers = pack(words)
    np.testing.assert_array_equal(unpack(numbers), words)
    np.testing.assert_array_equal(words_in(json.dumps({"words": numbers, "flags": []})), words)
    assert all(number >= 0 for number in numbers)


def test_more_words_than_a_segment_has_are_not_written() -> None:
    assert len(pack(rows(MAX_NUMBERS // 4))) == MAX_NUMBERS
    assert pack(rows(MAX_NUMBERS // 4 + 1)) == ()


@pytest.mark.parametrize(
    "comment",
    [None, "", "made with love", "[1,2]", "{}", "[" * 5_000, *(
        json.dumps({"words": words})
        for words in (
            None, "1", [1], [0, 1, 0], [0, 0, 0, 40], [0, 1, 0, 0], [0, -1, 0, 40], [0, 1, 0, 40.5], [0, 1, 0, True],
            [2**30, 1, 2**30, 2**30], [0, 1, 0, 10**30], [[0, 1, 0, 40]], [0, 1, 0, 40] * (MAX_NUMBERS // 4 + 1),
        )
    )],
)  # fmt: skip
def test_what_cannot_be_words_is_none(comment: str | None) -> None:
    np.testing.assert_array_equal(words_in(comment), NO_WORDS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't — l\u2019été: 3.14 km_h!", ["Don't", "l\u2019été", "3.14", "km_h"]),
        ("_very_ well-known __ ...", ["very", "well", "known"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("안녕 세상, مرحبا", ["안녕", "세상", "مرحبا"]),
        ("", []),
    ],
)
def test_words_are_those_of_unicode(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words
