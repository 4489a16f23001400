"""Where a sentence that is too long to be spoken at once is cut: between clauses, else words, else letters.

Knows nothing of what stands around the sentence.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from worker.text.measure import MAX_SEGMENT_UNITS, units, units_of_each

#: Where a speaker takes breath: behind these marks and the quotes that close after them.
_STRONG_BREAK: Final = re.compile(
    r"[;:\u061b\u00b7\u2026]['\"\u201d\u2019\u00bb)]*(?=\s)|\s(?=[\u2013\u2014])|[\u2013\u2014](?=\w)|--"
    r"|[\uff1b\uff1a\u3002\uff01\uff1f][\u300d\u300f\u201d\u2019\uff09]*"
)
_WEAK_BREAK: Final = re.compile(
    r"[,\u060c]['\"\u201d\u2019\u00bb)]*(?=\s)|[)\"\u201d\u00bb](?=\s)|[\uff0c\u3001\uff09\u300d\u300f]"
)
_SPACE: Final = re.compile(r"\s+")

#: Nearer to a piece's beginning than this share of its ideal length, no break is looked for.
_MIN_SHARE: Final = 0.5
#: Units by which a weak break must lie nearer to the ideal length to be preferred.
_STRONG_BONUS_UNITS: Final = 60


def cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the span of a sentence whole if it fits, else in parts of about the same length."""
    sentence = text[start:end]
    if units(sentence) > MAX_SEGMENT_UNITS:
        total = [0, *accumulate(units_of_each(sentence))]
        done = 0
        while total[-1] - total[done] > MAX_SEGMENT_UNITS:
            place = _break_after(sentence, total, done)
            yield start + done, start + place
            done = place
        start += done
    yield start, end


def _break_after(sentence: str, total: list[int], done: int) -> int:
    """Return where the piece that begins at `done` ends best.

    Args:
        sentence: the sentence.
        total: units in front of each of its positions.
        done: where the piece begins; more is left than fits.
    """
    left = total[-1] - total[done]
    ideal = total[done] + left / -(-left // MAX_SEGMENT_UNITS)
    first = bisect_left(total, total[done] + _MIN_SHARE * (ideal - total[done]))
    last = bisect_right(total, total[done] + MAX_SEGMENT_UNITS) - 1

    def breaks(pattern: re.Pattern[str], penalty: float) -> list[tuple[float, int]]:
        # One character more than fits is looked at, because many marks count in front of a space only.
        places = [match.end() for match in pattern.finditer(sentence, first, last + 1)]
        return [(abs(total[place] - ideal) + penalty, place) for place in places if first < place <= last]

    candidates = [*breaks(_STRONG_BREAK, 0), *breaks(_WEAK_BREAK, _STRONG_BONUS_UNITS)] or breaks(_SPACE, 0)
    return min(candidates)[1] if candidates else _hard_break(sentence, done, last)


def _hard_break(sentence: str, done: int, last: int) -> int:
    """Return where a word without an end is cut: not between a letter and its accents, if that can be helped."""
    place = last
    while place > done + 1 and unicodedata.category(sentence[place])[0] == "M":
        place -= 1
    return place if place > done + 1 else last
