"""Verse breathes where its lines end; prose that was wrapped at a width does not."""

from __future__ import annotations

import pytest

from producer.contract.plan import Boundary
from worker.text import split
from worker.text.verse import is_verse, with_breath

STANZA = [
    "The moon is high, the sea is low,",
    "The nets are dry, the wind is slow.",
    "And who will mend the boats again",
    "Before the coming of the rain?",
]
WRAPPED = [
    "The old road ran along the river for a",
    "mile or two, and then it turned away",
    "into the hills. Nobody had used it since",
    "the flood.",
]
RAGGED = ["rain", "on the roof of a house", "that nobody", "has lived in since the winter"]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (STANZA, True),
        (RAGGED, True),
        (WRAPPED, False),
        (STANZA[:1], False),
        (["The first paragraph goes on over", "two lines of text."], False),
        (["I went to see my sister", "Ann. She was not at home."], False),
        ([line * 2 for line in STANZA], False),
    ],
    ids=["stanza", "ragged", "wrapped", "one line", "two lines", "a name begins a line", "long lines"],
)
def test_verse_is_told_from_wrapped_prose(lines: list[str], answer: bool) -> None:
    assert is_verse(lines) is answer


def test_a_line_without_a_mark_at_its_end_gets_a_comma() -> None:
    assert with_breath("the sea is low\nThe wind,\nand", "en") == "the sea is low,\nThe wind,\nand"
    assert with_breath("海は低く\n風は遅い", "ja") == "海は低く、\n風は遅い"


def test_a_stanza_stays_together_and_ends_at_its_lines_only() -> None:
    plan = split("\n".join(STANZA) + "\n\n" + "\n".join(STANZA * 3), language="en", narration_id="n")
    assert plan.segments[0].text == f"{STANZA[0]} {STANZA[1]} {STANZA[2]}, {STANZA[3]}"
    assert plan.segments[0].boundary is Boundary.PARAGRAPH
    assert len(plan.segments) > 2
    assert all(segment.text.startswith(tuple(line[:9] for line in STANZA)) for segment in plan.segments)
    assert {segment.boundary for segment in plan.segments[1:-1]} <= {Boundary.CLAUSE, Boundary.SENTENCE}
