"""Sentences end where a reader would end them, in texts of our own in every language."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from producer.contract.languages import LANGUAGES
from worker.text.blocks import BlockKind, blocks
from worker.text.clean import clean, spoken
from worker.text.sentences import sentence_ends

CORPUS = Path(__file__).parents[3] / "corpus"
#: Share of the cases in which every end is right and none is missing.
MIN_EXACT = 0.95

CASE = re.compile(r"^== (?P<name>.*)\n(?P<body>(?:(?!== ).*\n?)*)", re.MULTILINE)
MARK = re.compile(r" ?\|")
#: Bullets, dashes of a dialogue and signs of a heading are not spoken.
LAYOUT = re.compile(r"^(?:[-#\u2013\u2014]+\s*|[-*\s]+$)")


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    sentences: list[str]


def cases(language: str) -> list[Case]:
    content = (CORPUS / f"{language}.txt").read_text("utf-8")
    return [
        Case(match["name"], MARK.sub("", match["body"]).strip(), [said(part) for part in match["body"].split("|")])
        for match in CASE.finditer(content)
    ]


def said(text: str) -> str:
    """Return a sentence without the marks of layout in it."""
    lines = [LAYOUT.sub("", line) for line in text.strip().splitlines()]
    return spoken(clean("\n".join(line for line in lines if line)).text)


def sentences(text: str, language: str) -> Iterator[str]:
    """Yield the sentences of a text as the splitter finds them."""
    cleaned = clean(text).text
    for block in blocks(cleaned):
        line = re.sub(r"\s", " ", cleaned[block.start : block.end])
        ends = [len(line)] if block.kind is BlockKind.HEADING else sentence_ends(line, language)
        for start, end in zip([0, *ends], ends, strict=False):
            if found := said(cleaned[block.start + start : block.start + end]):
                yield found


def wrong(language: str) -> dict[str, list[str]]:
    found = {case.name: list(sentences(case.text, language)) for case in cases(language)}
    return {case.name: found[case.name] for case in cases(language) if found[case.name] != case.sentences}


def test_the_corpus_has_every_language_and_no_case_twice() -> None:
    assert {path.stem for path in CORPUS.glob("*.txt")} == LANGUAGES.keys()
    every = {language: cases(language) for language in LANGUAGES}
    assert min(len(found) for found in every.values()) >= 5
    assert sum(len(found) for found in every.values()) >= 200
    for language, found in every.items():
        assert len({case.text for case in found}) == len({case.name for case in found}) == len(found), language


def test_nineteen_of_twenty_cases_are_exact_over_all_languages(capsys: pytest.CaptureFixture[str]) -> None:
    num_wrong = num_cases = 0
    lines: list[str] = []
    for language in sorted(LANGUAGES):
        faults, num = wrong(language), len(cases(language))
        num_wrong, num_cases = num_wrong + len(faults), num_cases + num
        lines += [f"{language}: {num - len(faults)} of {num}", *(f"   {name}: {faults[name]}" for name in faults)]
    lines.append(f"all: {num_cases - num_wrong} of {num_cases} exact, {1 - num_wrong / num_cases:.1%}")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert 1 - num_wrong / num_cases >= MIN_EXACT


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_language_has_more_than_one_wrong_case_in_five(language: str) -> None:
    assert len(wrong(language)) <= 0.2 * len(cases(language))
