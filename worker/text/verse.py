"""Verse: lines that end where the poet ended them. Knows nothing of paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

#: A longer line is prose. A hexameter has some 50 characters, an alexandrine 45.
_MAX_LINE_CHARS: Final = 60
#: Lines that tell raggedness from the last line of a paragraph.
_MIN_RAGGED_LINES: Final = 3
#: Share of the line ends that have a mark, in verse that begins every line with a capital.
_MIN_MARKED: Final = 0.34

_MARKED_END: Final = re.compile(r"[^\w\s\-][\"'\u201c\u201d\u2018\u2019\u00ab\u00bb)\u300d\u300f]*$")
_OPENING: Final = re.compile(r"[^\w]*")
_LINE_END: Final = re.compile(r"(?<=\w)[ \t]*\n\s*(?=\S)")
#: The comma of scripts that have their own.
_COMMAS: Final = {"ar": "\u060c", "ja": "\u3001", "zh": "\uff0c"}


def is_verse(lines: Sequence[str]) -> bool:
    """Say whether lines without a blank one between them are verse and not prose that was wrapped at a width.

    Args:
        lines: without white space at their edges.
    """
    width = max(len(line) for line in lines)
    if len(lines) < 2 or width > _MAX_LINE_CHARS:
        return False
    ends = list(pairwise(lines))
    num_marked = sum(_MARKED_END.search(before) is not None for before, _ in ends)
    num_small = sum(_begins_small(after) for _, after in ends)
    # Prose is wrapped where the next word does not fit.
    num_early = sum(len(before) + 1 + len(after.split(maxsplit=1)[0]) <= width for before, after in ends)
    if num_small == 0:
        return num_marked >= _MIN_MARKED * len(ends) and (len(lines) > 2 or num_marked == 1)
    return len(lines) >= _MIN_RAGGED_LINES and 2 * num_early > len(ends)


def _begins_small(line: str) -> bool:
    opening = _OPENING.match(line)
    begin = opening.end() if opening else 0
    return line[begin : begin + 1].islower()


def with_breath(verse: str, language: str) -> str:
    """Return verse with a comma behind each line that has no mark at its end, so that its reader breathes there."""
    return _LINE_END.sub(_COMMAS.get(language, ",") + "\n", verse)
