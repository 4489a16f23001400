"""What stands in quotation marks or parentheses. Knows nothing of sentences."""

# Quotation marks of 23 languages are what this file is about.
# ruff: noqa: RUF001

from __future__ import annotations

import re
from typing import Final

#: Pairs, the outermost one first. A mark within a word is an apostrophe or a Hebrew abbreviation. An opening mark
#: without a closing one, as in a speech that goes on in the next paragraph, is passed over.
_QUOTED: Final = re.compile(
    r"“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|(?<!\w)»[^«»]*«(?!\w)|(?<!\w)”[^”]*”(?!\w)|「[^「」]*」|『[^『』]*』"
    r"|(?<!\w)\"(?:[^\"]|(?<=\w)\"(?=\w))*\"(?!\w)"
    r"|‘(?:[^‘’]|’(?=\w))*’(?!\w)|`(?:[^`']|'(?=\w))*'|(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*'(?!\w)"
    r"|\([^()]*\)|（[^（）]*）"
)
_ANY_OPENING: Final = re.compile("[“„«»”「『\"‘`'(（]")


def quoted_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of quotations and parentheses with their marks, ascending and disjoint."""
    if not _ANY_OPENING.search(text):
        return []
    return [match.span() for match in _QUOTED.finditer(text)]
