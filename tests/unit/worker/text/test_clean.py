"""Marks leave the text and keep their place."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.text.clean import clean
from worker.text.markup import Mark


@pytest.mark.parametrize(
    ("text", "said", "marks"),
    [
        ("One. [pause:1s] Two.", "One.  Two.", [Mark(5, pause_s=1.0)]),
        ("one[pause:1s]two", "one two", [Mark(3, pause_s=1.0)]),
        ("one[pause:1s][voice:ada]two", "one two", [Mark(3, pause_s=1.0), Mark(3, voice="ada")]),
        ("[voice:ada]One.[pause:2s]", "One.", [Mark(0, voice="ada"), Mark(4, pause_s=2.0)]),
        ("*[pause:1s]Very* much", "Very much", [Mark(0, pause_s=1.0)]),
        ("[a] [vo\u200bice:ada] [b]", "a  b", [Mark(2, voice="ada")]),
        ("cafe[pause:1s]\u0301", "cafe \u0301", [Mark(4, pause_s=1.0)]),
        ("cafe\u0301 cafe\u0301 [pause:1s]x", "café café x", [Mark(10, pause_s=1.0)]),
    ],
)
def test_a_mark_stands_where_it_stood(text: str, said: str, marks: list[Mark]):
    cleaned = clean(text)
    assert cleaned.text == said
    assert list(cleaned.marks) == marks
    assert cleaned.num_malformed_marks == 0


def test_what_only_looks_like_a_mark_is_counted_and_not_said():
    cleaned = clean("One[pause:][pause:x]two [voice:../y] three [STOP]")
    assert cleaned.text == "One two  three STOP"
    assert cleaned.marks == ()
    assert cleaned.num_malformed_marks == 3


def test_ten_thousand_marks_take_as_many_steps():
    cleaned = clean("wörd e\u0301 [pause:1s]" * 10_000)
    assert len(cleaned.marks) == 10_000
    assert [mark.position for mark in cleaned.marks[:3]] == [7, 14, 21]
    assert cleaned.text == "wörd é " * 10_000


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["[pause:1s]", "[voice:ada]", "[pause: ", "[x]", "e\u0301", "\u200b", "**", " ", "no", "\r\n"])
    )
)
def test_positions_lead_to_the_original_and_back(parts: list[str]):
    text = "".join(parts)
    cleaned = clean(text)
    assert cleaned.span(0, len(cleaned.text))[1] in {len(text), 1}
    assert "pause" not in cleaned.text
    places = [mark.position for mark in cleaned.marks]
    assert places == sorted(places)
    # In front of a mark there is as much of the text as there was.
    originals = [found for found in range(len(text)) if text.startswith(("[pause:1s]", "[voice:ada]"), found)]
    for place, original in zip(cleaned.after(originals), originals, strict=True):
        assert cleaned.text[:place].count("no") == text[:original].count("no")


@settings(deadline=None)
@given(st.text())
def test_every_letter_is_found_again_by_its_position(text: str):
    cleaned = clean(text)
    for position, character in enumerate(cleaned.text):
        start, end = cleaned.span(position, position + 1)
        assert 0 <= start < end <= len(text)
        if unicodedata.is_normalized("NFC", text) and not character.isspace():
            assert text[start] == character
