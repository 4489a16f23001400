"""Spoken words found in the original text: where they are the same, where one became several, and nowhere in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.dictionary import Rule
from worker.audio.originals import original_spans
from worker.text.clean import clean, spoken
from worker.text.rewriting import rewrite


def places(said: str, original: str) -> list[tuple[str, str]]:
    return [(said[a:b], original[c:d]) for (a, b), (c, d) in sorted(original_spans(said, original).items())]


@pytest.mark.parametrize(
    ("said", "original", "found"),
    [
        ("It was.", "It  _was_.", [("It", "It"), ("was", "was")]),
        ("Twenty-four dogs ran.", "24 dogs ran.", [("Twenty", "24"), ("four", "24"), ("dogs", "dogs"), ("ran", "ran")]),
        ("one one, two", "1 one, two", [("two", "two")]),
        ("He said no.", "[voice:mary] He [pause:1s]said\nno.", [("He", "He"), ("said", "said"), ("no", "no")]),
        ("voice one", "[voice:one] Voice one", [("voice", "Voice"), ("one", "one")]),
        ("invisible été", "in\u00advisible e\u0301té", [("invisible", "in\u00advisible"), ("été", "e\u0301té")]),
        ("five million dollars", "$5 million", [("five", "5"), ("million", "million")]),
        ("anything else", "", []),
        ("Aw-stin wrote", "Austen wrote", [("Aw", "Austen"), ("stin", "Austen"), ("wrote", "wrote")]),
    ],
)  # fmt: skip
def test_words_are_found_as_far_as_they_are_certain(said: str, original: str, found: list[tuple[str, str]]) -> None:
    assert places(said, original) == found


@settings(deadline=None)
@given(st.lists(st.sampled_from(["the", "cat", "24", "$3", "Dr.", "Qx", "1990s"]), min_size=1, max_size=9))
def test_places_are_those_that_the_rewriting_knows(words: list[str]) -> None:
    """The rewriting's own map of positions, which no plan keeps, is the truth."""
    original = " ".join(words) + " end"
    rules = [Rule(pattern="Qx", replacement="the cue ex")]
    said = rewrite(clean(original), rules, language="en", normalize=True)
    assert spoken(said.text) == said.text
    for (start, end), place in original_spans(said.text, original).items():
        truth, _ = said.span(start, end)
        assert original.count(" ", 0, place[0]) == original.count(" ", 0, truth)
