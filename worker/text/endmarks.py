"""Marks that may end a sentence: which do, which do not, and which need a closer look.

Most marks in prose are beyond doubt, and telling those apart takes a fraction of the time of the library that knows
abbreviations. Knows nothing of that library.
"""

# Marks of 23 languages are what this file is about.
# ruff: noqa: RUF001

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from worker.text.quotes import quoted_spans
from worker.text.speakers import says_who


class Verdict(Enum):
    """What a mark does to the sentence before it."""

    ENDS = auto()
    GOES_ON = auto()
    IN_DOUBT = auto()  #: a full stop behind an abbreviation, an initial, a number


@dataclass(frozen=True, slots=True)
class EndMark:
    """A mark that may end a sentence."""

    #: Behind its last character.
    position: int
    #: Where the sentence would end: behind the quotes that close after it.
    end: int
    verdict: Verdict


#: A dash counts where a speech is broken off by another one.
_MARKS: Final = re.compile(r"[.!?…؟۔।॥]+(?:\s?[!?…](?=\s))*|[。！？｡][。！？｡!?…]*|[—–-](?=[”\"’»«]\s+[“\"‘«»„])")
#: The Greek question mark, which is a semicolon.
_GREEK_MARKS: Final = re.compile(r"[.!?;…]+")
_CLOSING: Final = re.compile(r"\s?[»”“’\"')\]」』）«]*»(?=\W|$)|[\"'”’»«“)\]」』）]+(?=\W|$)")
_WIDE_CLOSING: Final = re.compile("[”’\"'」』）)»]*")
#: What may stand between two sentences in front of the second one's first letter.
_OPENING: Final = re.compile(r"(?:\s|[“„«»”‘’\"'`¿¡([「『（—–―-])*")
_WORD: Final = re.compile(r"[^\W\d_]*$")

_WIDE: Final = frozenset("。！？｡")
_DASHES: Final = frozenset("—–-")
_STRONG: Final = frozenset("!?؟।॥۔;")
#: Languages in which a noun within a sentence begins with a capital, so that one behind an ellipsis says nothing.
_CAPITAL_NOUNS: Final = frozenset({"de"})
#: "And" written as one letter in front of the word: what follows an ellipsis goes on.
_JOINED_AND: Final = {"he": "ו", "ar": "و"}
#: Last syllables of Korean predicates; a full stop behind them ends a sentence.
_KOREAN_ENDINGS: Final = frozenset("다요까죠네라자")
#: Letters of a word without capitals that is no abbreviation any more.
_MIN_CASELESS_CHARS: Final = 3


def end_marks(text: str, language: str, doubtful: frozenset[str], *, keeps_quotes: bool) -> Iterator[EndMark]:
    """Yield the marks of one paragraph that stand outside of quotes, or close one.

    Args:
        text: the paragraph, on one line.
        language: one of our codes.
        doubtful: abbreviations of this language in small letters, without their last full stop.
        keeps_quotes: False: marks in quotes count like all others.
    """
    spans = quoted_spans(text) if keeps_quotes else []
    starts = [start for start, _ in spans]
    for match in (_GREEK_MARKS if language == "el" else _MARKS).finditer(text):
        is_wide = match[0][0] in _WIDE
        closing = (_WIDE_CLOSING if is_wide else _CLOSING).match(text, match.end())
        end = closing.end() if closing else match.end()
        place = bisect_right(starts, match.start()) - 1
        is_quoted = place >= 0 and match.end() < spans[place][1]
        if is_quoted:
            if end < spans[place][1]:
                continue
            end = spans[place][1]
        if end < len(text):
            verdict = _verdict(text, match, end, language, doubtful, is_quoted=is_quoted)
            yield EndMark(match.end(), end, verdict)


def _verdict(
    text: str, match: re.Match[str], end: int, language: str, doubtful: frozenset[str], *, is_quoted: bool
) -> Verdict:
    mark = match[0]
    opening = _OPENING.match(text, end)
    begin = opening.end() if opening else end
    following = text[begin : begin + 1]
    if is_quoted and says_who(text, begin, language):
        return Verdict.GOES_ON
    if mark[0] in _WIDE or mark[0] in _DASHES:
        return Verdict.ENDS
    if begin == end and following:
        # Nothing between them: a decimal, an address, a comma behind a quote. Only marks of some scripts need no space.
        return Verdict.ENDS if mark[-1] in "।॥" else Verdict.GOES_ON
    if "…" in mark or ".." in mark:
        return _verdict_on_ellipsis(text, match.start(), following, language)
    if following.islower():
        return Verdict.GOES_ON if mark[-1] in _STRONG or is_quoted else Verdict.IN_DOUBT
    if mark[-1] in _STRONG or (
        is_quoted and text[match.start() - 1].isdigit()
    ):  # no list and no ordinal ends in quotes
        return Verdict.ENDS
    return _verdict_on_full_stop(text, match.start(), following, language, doubtful)


def _verdict_on_ellipsis(text: str, start: int, following: str, language: str) -> Verdict:
    """Return whether a sentence trails off, or its speaker hesitates."""
    if not following.isalpha() or following.islower() or following == _JOINED_AND.get(language):
        return Verdict.GOES_ON
    before = text[max(0, start - 40) : start].rstrip()
    words = re.split(r"[.!?…؟:;]\s", before)[-1].split()
    if len(words) < 2:  # "Well... I suppose so."
        return Verdict.GOES_ON
    if language in _CAPITAL_NOUNS:
        return Verdict.IN_DOUBT
    return Verdict.ENDS if following.isupper() or language not in {"ko", "ja", "zh", "hi"} else Verdict.GOES_ON


def _verdict_on_full_stop(text: str, start: int, following: str, language: str, doubtful: frozenset[str]) -> Verdict:
    if language == "ko" and text[start - 1 : start].isdigit():  # a date, "2020. 5. 3."; sentences end with a predicate
        return Verdict.GOES_ON
    word = _last_word(text, start)
    before = text[start - len(word) - 1 : start - len(word)]
    if not word or before == "." or word.lower() in doubtful:
        return Verdict.IN_DOUBT
    if word[-1] in _KOREAN_ENDINGS:
        return Verdict.ENDS
    if following.isupper():
        is_plain = len(word) > 1 and word[1:].islower()
    else:
        is_plain = following.isalpha() and len(word) >= _MIN_CASELESS_CHARS and language != "ko"
    return Verdict.ENDS if is_plain else Verdict.IN_DOUBT


def _last_word(text: str, end: int) -> str:
    match = _WORD.search(text, max(0, end - 24), end)
    return match[0] if match else ""
