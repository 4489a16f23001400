"""Sentence ends do not depend on where a long paragraph happens to be looked at in pieces."""

from __future__ import annotations

import pytest

from worker.text import detector
from worker.text.detector import WINDOW_CHARS, abbreviations
from worker.text.endmarks import Verdict, end_marks
from worker.text.sentences import sentence_ends

SENTENCES = [
    f"Dr. Hale came {n} times to the U.S. with Mr. Smith, at 3.30 p.m., for $4.50 a day. "
    for n in range(WINDOW_CHARS // 10)
]


def cut(text: str, language: str = "en") -> list[str]:
    ends = sentence_ends(text, language)
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def test_a_paragraph_of_many_windows_is_cut_at_its_sentences_only() -> None:
    text = "".join(SENTENCES).strip()
    assert len(text) > 5 * WINDOW_CHARS
    assert [sentence.strip() for sentence in cut(text)] == [sentence.strip() for sentence in SENTENCES]


def test_a_paragraph_without_an_end_is_left_at_spaces() -> None:
    assert "".join(cut("word " * WINDOW_CHARS)) == "word " * WINDOW_CHARS


def test_the_other_library_takes_over_where_the_first_one_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(language: str) -> None:
        raise RecursionError("secret words of the text")

    monkeypatch.setattr(detector, "_detector", broken)
    with caplog.at_level("WARNING"):
        assert [sentence.strip() for sentence in cut("It was part 2. He went.")] == ["It was part 2.", "He went."]
    assert [record.msg for record in caplog.records] == ["sentence_detector_failed"]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("text", ["", " ", "x", "...", "\x00.", "\U0001f600"])
def test_any_text_ends_where_it_ends(text: str) -> None:
    assert sentence_ends(text, "en")[-1] == len(text)
    assert sentence_ends(text, "xx")[-1] == len(text)


def test_a_long_stretch_of_doubtful_marks_is_cut_at_its_sentences_only() -> None:
    text = "".join(f"Mr. A. B. Smith paid Dr. Hale on p. {n}. " for n in range(WINDOW_CHARS // 10)).strip()
    assert {sentence.strip()[:8] for sentence in cut(text)} == {"Mr. A. B"}
    assert len(cut(text)) == WINDOW_CHARS // 10


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("The door opened. Nobody came.", [Verdict.ENDS]),
        ("Dr. Hale came.", [Verdict.IN_DOUBT]),
        ("It cost 4.50 in all. That is much.", [Verdict.GOES_ON, Verdict.ENDS]),
        ("“Come! Now!” she cried. He came.", [Verdict.GOES_ON, Verdict.ENDS]),
        ("“Come now.” He came.", [Verdict.ENDS]),
        ("“Come now!” Anna said.", [Verdict.GOES_ON]),
        ("“Come now!” It went on for hours.", [Verdict.ENDS]),
    ],
)
def test_the_library_is_asked_about_marks_in_doubt_only(text: str, verdicts: list[Verdict]) -> None:
    assert [mark.verdict for mark in end_marks(text, "en", abbreviations("en"), keeps_quotes=True)] == verdicts


def test_the_abbreviations_of_the_library_are_known() -> None:
    assert {"approx", "vol", "etc"} <= abbreviations("en")
    assert "hon" not in abbreviations("sv")
    assert "esim" in abbreviations("fi")
    assert abbreviations("xx") == abbreviations("en")
