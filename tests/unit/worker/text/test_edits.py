"""An edit changes the segments around it and no others, so that only those are spoken again."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.text import MAX_SEGMENT_UNITS, split
from worker.text.joining import Stretch, joined

#: Segments that one edited, inserted or deleted sentence may cost.
MAX_CHANGED = 3

WORDS = (
    *("the", "old", "harbour", "lamp", "under", "rain", "was", "left", "behind", "and", "nobody", "in", "town"),
    *("would", "say", "why", "it", "burned", "so", "late"),
)


def sentence(numbers: random.Random) -> str:
    """Return a sentence as long as those of novels: 15 to 250 characters, 110 on average."""
    num_words = min(max(3, round(numbers.lognormvariate(3.0, 0.5))), 50)
    return " ".join(numbers.choices(WORDS, k=num_words)).capitalize()[:249] + "."


def book(numbers: random.Random, num_sentences: int) -> list[list[str]]:
    """Return paragraphs of 1 to 12 sentences."""
    sentences = [sentence(numbers) for _ in range(num_sentences)]
    paragraphs = []
    while sentences:
        length = numbers.randint(1, 12)
        paragraphs.append(sentences[:length])
        sentences = sentences[length:]
    return paragraphs


def edited(paragraph: list[str], numbers: random.Random) -> list[str]:
    place = numbers.randrange(len(paragraph))
    new = numbers.choice(([], [sentence(numbers)], [sentence(numbers), paragraph[place]]))
    return paragraph[:place] + new + paragraph[place + 1 :]


def spoken(paragraphs: list[list[str]]) -> list[str]:
    text = "\n\n".join(" ".join(paragraph) for paragraph in paragraphs)
    return [segment.text for segment in split(text, language="en", narration_id="n").segments]


def split_of(paragraph: list[str]) -> list[str]:
    """Return the segments of a paragraph whose sentences are known."""
    stretches = [Stretch(one, len(one), is_open=True) for one in paragraph]
    return [" ".join(paragraph[index] for index in segment) for segment in joined(stretches)]


def num_new(before: list[str], after: list[str]) -> int:
    return sum((Counter(after) - Counter(before)).values())


def test_an_edit_in_a_book_of_five_thousand_segments_costs_three_at_most() -> None:
    numbers = random.Random(7)
    paragraphs = book(numbers, 9_500)
    before = spoken(paragraphs)
    assert 5_000 <= len(before) <= 6_500
    place = numbers.randrange(len(paragraphs))
    changed = [*paragraphs[:place], edited(paragraphs[place], numbers), *paragraphs[place + 1 :]]
    assert num_new(before, spoken(changed)) <= MAX_CHANGED


def test_199_of_200_edits_cost_three_segments_at_most_and_none_costs_many() -> None:
    """Nothing outside of a paragraph changes, so each paragraph is looked at by itself."""
    numbers = random.Random(8)
    costs = Counter(
        num_new(split_of(paragraph), split_of(edited(paragraph, numbers))) for paragraph in book(numbers, 9_000)
    )
    assert max(costs) <= 2 * MAX_CHANGED
    assert sum(times for cost, times in costs.items() if cost > MAX_CHANGED) <= 0.005 * sum(costs.values())


def test_an_edit_is_forgotten_in_a_book_without_paragraphs() -> None:
    numbers = random.Random(9)
    paragraph = [sentence(numbers) for _ in range(300)]
    before = split_of(paragraph)
    costs = Counter(num_new(before, split_of(edited(paragraph, numbers))) for _ in range(100))
    assert max(costs) <= 2 * MAX_CHANGED
    assert sum(times for cost, times in costs.items() if cost > MAX_CHANGED) <= 0.05 * sum(costs.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_no_other_paragraph_changes_by_an_edit(seed: int) -> None:
    numbers = random.Random(seed)
    paragraphs = book(numbers, 12)
    place = numbers.randrange(len(paragraphs))
    changed = [*paragraphs[:place], edited(paragraphs[place], numbers), *paragraphs[place + 1 :]]
    others = Counter(text for paragraph in paragraphs[:place] + paragraphs[place + 1 :] for text in spoken([paragraph]))
    assert others <= Counter(spoken(changed))


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, MAX_SEGMENT_UNITS), st.booleans()), max_size=40))
@settings(deadline=None)
def test_segments_are_full_and_never_too_full(given_stretches: list[tuple[str, int, bool]]) -> None:
    stretches = [Stretch(*fields) for fields in given_stretches]
    segments = joined(stretches)
    assert [index for segment in segments for index in segment] == list(range(len(stretches)))

    def size(indexes: list[int]) -> int:
        return sum(stretches[index].units for index in indexes) + len(indexes) - 1

    assert all(size(list(segment)) <= MAX_SEGMENT_UNITS for segment in segments)
    assert all(stretches[index].is_open for segment in segments for index in segment[:-1])
    for one, two in pairwise(segments):
        assert not stretches[one[-1]].is_open or size([*one, *two]) > MAX_SEGMENT_UNITS


def test_one_that_is_too_short_to_be_spoken_alone_finds_a_neighbour_first() -> None:
    lengths = [100, 10, 150, 120]
    stretches = [Stretch(f"{number}", units, is_open=True) for number, units in enumerate(lengths)]
    assert all(sum(lengths[index] for index in segment) > 10 for segment in joined(stretches))
