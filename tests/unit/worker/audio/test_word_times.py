"""From positions of attention to times of words: steady, in order, and silent where attention says nothing."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.audio.wordtimes import steady_course, word_times, words_of
from worker.engine.request import Take

TEXT = "So it was."
#: A token for each character, between the start and the stop token.
LETTERS = [(place, place + 1) if letter.isalnum() else (place, place) for place, letter in enumerate(TEXT)]
SPANS = np.array([(0, 0), *LETTERS, (10, 10)])
PART_MS = 40


def said(positions: list[int], *, text: str = TEXT, spans: np.ndarray = SPANS) -> list[tuple[str, int, int]]:
    words = word_times(text, np.array(positions, np.int16), spans, PART_MS * len(positions))
    return [(text[start:end], begin_ms, end_ms) for start, end, begin_ms, end_ms in words.tolist()]


def test_words_last_as_long_as_attention_is_in_them() -> None:
    #            start    S  o  -  i     t  -  w  a  a  s  .  stop
    positions = [0, 0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11]
    assert said(positions) == [("So", 120, 200), ("it", 240, 360), ("was", 400, 560)]


def test_a_look_aside_for_a_moment_moves_no_word_by_more_than_two_parts() -> None:
    steady = [0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 7, 7, 8, 8, 9, 9, 10]
    for place, aside in ((4, 8), (8, 2), (12, 4)):
        wavering = [*steady[:place], aside, *steady[place + 1 :]]
        moved = np.array([times for _, *times in said(wavering)]) - [times for _, *times in said(steady)]
        assert abs(moved).max() <= 2 * PART_MS


def test_a_word_that_attention_passes_over_has_no_time() -> None:
    assert [word for word, _, _ in said([0, 1, 2, 2, 3, 7, 7, 8, 9, 10])] == ["So", "was"]


@pytest.mark.parametrize("positions", [[], [0] * 30, [1, 2, 2, 2], [0, 1, 2, 12], [-1, 5, 11]])
def test_nothing_is_said_when_attention_has_lost_the_text(positions: list[int]) -> None:
    assert said(positions) == []


def test_marks_inside_a_word_are_part_of_it() -> None:
    spans = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [3, 3], [4, 5], [5, 5]])
    assert said([0, 1, 2, 3, 4, 4, 5, 6], text="Don't", spans=spans) == [("Don't", 40, 280)]


def test_an_engine_that_knows_no_positions_has_no_words() -> None:
    take = Take(np.zeros(100, np.float32), 100, 1, 0.1, is_watermarked=False)
    assert words_of(take, TEXT).size == 0


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_the_steady_course_is_the_nearest_that_there_is(positions: list[int]) -> None:
    found = steady_course(positions)

    def distance(course: tuple[int, ...] | list[int]) -> int:
        return sum(abs(one - other) for one, other in zip(course, positions, strict=True))

    assert found == sorted(found)
    assert set(found) <= set(positions)
    assert distance(found) == min(map(distance, combinations_with_replacement(range(5), len(positions))))


@settings(deadline=None)
@given(st.data())
def test_times_ascend_inside_the_take_whatever_attention_does(data: st.DataObject) -> None:
    text = data.draw(st.text("ab '.é", max_size=40))
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    spans = np.array([[0, 0], *([start, end] for start, end in pairwise(edges)), [len(text)] * 2])
    positions = data.draw(st.lists(st.integers(0, len(spans) - 1), max_size=60))
    duration_ms = data.draw(st.floats(1, 3_000))
    words = word_times(text, np.array(positions, np.int16), spans, duration_ms).tolist()
    assert all(0 <= begin < end <= round(duration_ms) for _, _, begin, end in words)
    assert all(one[3] <= other[2] and one[1] <= other[0] for one, other in pairwise(words))
    for start, end, _, _ in words:
        assert any(letter.isalnum() for letter in text[start:end])
