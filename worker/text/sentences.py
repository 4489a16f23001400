"""Where sentences end, in 23 languages. Knows nothing of segments."""

from __future__ import annotations

from bisect import bisect_left

from worker.text.detector import abbreviations, detect
from worker.text.endmarks import EndMark, Verdict, end_marks
from worker.text.measure import MAX_SEGMENT_UNITS, units


def sentence_ends(text: str, language: str) -> list[int]:
    """Return the end of each sentence of one paragraph, ascending; the last is the paragraph's own.

    What somebody says in quotes belongs to one sentence, unless that is too long to be spoken at once.

    Args:
        text: one paragraph on one line, without line breaks.
        language: one of our codes; an unknown one is read as English.
    """
    ends = []
    start = 0
    for end in _ends(text, language, keeps_quotes=True):
        if end - start > MAX_SEGMENT_UNITS or units(text[start:end]) > MAX_SEGMENT_UNITS:
            ends += [start + inner for inner in _ends(text[start:end], language, keeps_quotes=False)]
        else:
            ends.append(end)
        start = end
    return ends


def _ends(text: str, language: str, *, keeps_quotes: bool) -> list[int]:
    ends: list[int] = []
    in_doubt: list[EndMark] = []
    start = 0
    for mark in end_marks(text, language, abbreviations(language), keeps_quotes=keeps_quotes):
        if mark.verdict is Verdict.IN_DOUBT:
            in_doubt.append(mark)
        elif mark.verdict is Verdict.ENDS:
            ends += [*_looked_up(text, start, mark.end, in_doubt, language), mark.end]
            start = mark.end
            in_doubt = []
    return [*ends, *_looked_up(text, start, len(text), in_doubt, language), len(text)]


def _looked_up(text: str, start: int, end: int, in_doubt: list[EndMark], language: str) -> list[int]:
    """Return which of the marks in doubt between two ends are ends as well."""
    if not in_doubt:
        return []
    found = [start + place for place in detect(text[start:end], language)]
    return [mark.end for mark in in_doubt if _lies_between(found, mark.position, _next_word(text, mark.end))]


def _lies_between(found: list[int], first: int, last: int) -> bool:
    place = bisect_left(found, first)
    return place < len(found) and found[place] <= last


def _next_word(text: str, position: int) -> int:
    return len(text) - len(text[position:].lstrip())
