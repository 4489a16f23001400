"""Figures and symbols of a text as words. Knows nothing of dictionaries, which come before it.

English has a grammar of its own (`english`); elsewhere only what is said in one way is written out (`figures`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from worker.text.clean import CleanText
from worker.text.english import EXPRESSION, read_english
from worker.text.figures import figure_pattern, read_figure
from worker.text.offsets import Edit

#: The number of a list's item stays a figure: it is how the item is told from a paragraph.
_ITEM_NUMBER: Final = re.compile(r"^[^\S\n]*\d{1,3}[.)](?=\s)", re.MULTILINE)
_ENDS_OF_SENTENCES: Final = frozenset(".!?\u2026")
_OPENING_QUOTES: Final = "\"'\u201c\u2018\u00ab("


def normalize(cleaned: CleanText, language: str) -> CleanText:
    """Return the text with numbers, dates, times, amounts and units as words, where a language is known to say them so.

    What cannot be read stays; nothing is read that a mark stands in the middle of.
    """
    edits = list(_edits(cleaned, language))
    return cleaned.rewritten(iter(edits)) if edits else cleaned


def _edits(cleaned: CleanText, language: str) -> Iterator[Edit]:
    text = cleaned.text
    pattern = EXPRESSION if language == "en" else figure_pattern(language)
    read = read_english if language == "en" else partial(read_figure, language=language)
    items = {match.end() for match in _ITEM_NUMBER.finditer(text)}
    for match in pattern.finditer(text):
        start, end = match.span()
        if end + 1 in items or cleaned.is_marked_inside(start, end):
            continue
        words = read(match)
        if words is None or words == match[0]:
            continue
        if _begins_sentence(text, start):
            words = words[:1].upper() + words[1:]
        if text[end - 1] == "." and words[-1:] != "." and _ends_sentence(text, end):
            words += "."
        yield Edit(start, end, words)


def _begins_sentence(text: str, position: int) -> bool:
    """Say whether a sentence begins here: what follows a point has to have a capital, or the point ends nothing."""
    before = text[max(position - 8, 0) : position].rstrip(_OPENING_QUOTES)
    stripped = before.rstrip()
    if not stripped:
        return True
    return stripped != before and (stripped[-1] in _ENDS_OF_SENTENCES or "\n\n" in before[len(stripped) :])


def _ends_sentence(text: str, position: int) -> bool:
    """Say whether the point of an abbreviation, which ends here, ends a sentence too."""
    rest = text[position : position + 8].lstrip(_OPENING_QUOTES + "\u201d\u2019\u00bb)")
    return not rest.strip() or (rest[0].isspace() and rest.lstrip()[0].isupper())
