"""Text tokens found again in the text, after whatever a tokenizer has done to it; in doubt nothing is found."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.textspans import token_spans

CORPUS = Path(__file__).resolve().parents[3] / "corpus"


def prepared(text: str, language: str = "fr") -> list[str]:
    """Return the names of tokens as the multilingual tokenizer makes them, a character each."""
    text = unicodedata.normalize("NFKD", text.replace("...", ", ").replace(";", ", ").lower()) + "."
    return ["[START]", f"[{language}]", *("[SPACE]" if letter == " " else letter for letter in text), "[STOP]"]


def spelt(names: list[str], text: str) -> list[tuple[str, str]]:
    spans = token_spans(names, text)
    assert spans is not None
    assert spans.shape == (len(names), 2)
    return [(name, text[start:end]) for name, (start, end) in zip(names, spans.tolist(), strict=True)]


def test_letters_are_found_through_case_composition_and_punctuation() -> None:
    found = spelt(prepared("Élan; 7 Œufs..."), "Élan; 7 Œufs...")
    assert [pair for pair in found if pair[1]] == [
        ("e", "É"), ("l", "l"), ("a", "a"), ("n", "n"), ("7", "7"), ("œ", "Œ"), ("u", "u"), ("f", "f"), ("s", "s")
    ]  # fmt: skip


def test_tokens_of_several_letters_span_them_and_commands_nothing() -> None:
    text = "Guten Tag"
    assert spelt(["[START]", "[de]", "gut", "en", "[SPACE]", "ta", "g.", "[STOP]"], text) == [
        ("[START]", ""), ("[de]", ""), ("gut", "Gut"), ("en", "en"), ("[SPACE]", ""), ("ta", "Ta"), ("g.", "g"),
        ("[STOP]", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["明", "か", "り"], "灯り"),
        (["[cj_o]", "[cj_n]", "[cj_.]"], "你"),
        (["a", "[UNK]", "c"], "abc"),
        (["a"], "ab"),
        (["a", "b"], "ba"),
        (["f", "r", "a"], "a"),
    ],
)
def test_nothing_is_said_where_letters_became_others(names: list[str], text: str) -> None:
    assert token_spans(names, text) is None


def test_marks_that_a_tokenizer_sets_itself_do_no_harm() -> None:
    lamp, peace = "лампа", "\u05e9\u05dc\u05d5\u05dd"
    for text, mark in ((lamp, "\u0301"), (peace, "\u05b8")):
        assert [part for _, part in spelt([text[0], mark, *text[1:]], text) if part] == list(text)
    # A syllable of Korean becomes two letters or three.
    assert [part for _, part in spelt(list(unicodedata.normalize("NFKD", "한국")), "한국")] == list("한한한국국국")


@pytest.mark.parametrize("language", ["ar", "de", "el", "fi", "fr", "hi", "ko", "pl", "ru", "tr"])
def test_every_letter_of_a_language_is_found(language: str) -> None:
    text = (CORPUS / f"{language}.txt").read_text(encoding="utf-8")[:400].replace("\n", " ")
    for name, part in spelt(prepared(text, language), text):
        if part:
            assert (
                unicodedata.normalize("NFKD", name).casefold() in unicodedata.normalize("NFKD", part.lower()).casefold()
            )


@settings(deadline=None)
@given(st.text("aÉß ﬁİΣς.'\u2019—½ไé한", max_size=30))
def test_spans_ascend_and_cover_every_letter(text: str) -> None:
    spans = token_spans(prepared(text), text)
    assert spans is not None
    assert all(0 <= start <= end <= len(text) for start, end in spans.tolist())
    letters = [(start, end) for start, end in spans.tolist() if start < end]
    assert letters == sorted(letters)
    covered = {place for start, end in letters for place in range(start, end)}
    assert {place for place, letter in enumerate(text) if letter.isalnum()} <= covered
