"""Texts against what was heard; no recognizer takes part."""

from __future__ import annotations

import pytest

from producer.contract.languages import LANGUAGES
from worker.quality.asr.comparison import compare
from worker.quality.asr.words import sounds_of

TEXT = "On the ninth of May 1984, Doctor Hale's 3 sons rowed 2,500 metres across the harbour."


def flags(text: str, transcript: str, language: str = "en") -> list[str]:
    return [finding.flag.value for finding in compare(text, transcript, language)]


@pytest.mark.parametrize(
    "transcript",
    [
        TEXT,
        "on the ninth of may nineteen eighty four doctor hales three sons rowed two thousand five hundred meters "
        "across the harbor",
        "On the 9th of May 1984, Dr. Hale's three sons rode 2500 meters across the Harbour.",
    ],
)
def test_what_was_said_is_recognized_however_it_is_written(transcript):
    assert flags(TEXT, transcript) == []


@pytest.mark.parametrize(
    ("transcript", "flag"),
    [
        ("On the ninth of May 1984, Doctor Hale's 3 sons rowed 2,500 metres across the", "words_missing"),
        ("On the ninth of May 1984, rowed 2,500 metres across the harbour.", "words_missing"),
        ("", "words_missing"),
        (f"{TEXT} {TEXT}", "words_added"),
        (f"{TEXT} harbour harbour harbour", "words_added"),
        ("The quick brown fox jumps over the lazy dog, and 70 more of them sat and watched it go by.", "words_differ"),
    ],
)
def test_what_is_wrong_has_a_name(transcript, flag):
    assert flag in flags(TEXT, transcript)


def test_a_short_answer_is_not_drowned_by_its_own_mishearing():
    assert flags("Yes.", "Yes!") == []
    assert flags("Agnes!", "Agnis") == []
    assert flags("Yes.", "Thanks for watching the whole of it.") != []


def test_a_text_of_signs_alone_is_not_compared():
    assert flags("***", "") == []


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_numbers_are_words_in_every_language(language):
    written = sounds_of("1984", language)
    assert written
    assert not any(letter.isdigit() for letter in written)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [("de", "Straße Nr. 21", "strasse nr einundzwanzig"), ("fr", "à 3 h", "a trois h"), ("zh", "第3章。", "第三章")],
)
def test_languages_are_compared_by_their_letters(language, one, other):
    assert sounds_of(one, language) == sounds_of(other, language)
