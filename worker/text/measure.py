"""How long a text takes to say, in units of one Latin letter. Knows nothing of cutting."""

from __future__ import annotations

import re
from typing import Final

#: Units in one segment. The model stops dead after 1,000 speech tokens, which are 40 s; 280 letters are about 20 s,
#: so that even a slow voice ends by itself. Longer segments also drift, shorter ones lose the melody.
MAX_SEGMENT_UNITS: Final = 280

#: Units below which a sentence is joined with a neighbour: the model rambles after two or three words.
MIN_SEGMENT_UNITS: Final = 25

#: What takes longer than a letter: a digit is read as a word ("1984": four digits, 19 letters), a Hangul syllable is
#: two sounds or three, a Han character or kana takes as long as three Latin letters (4.5 in a second).
_DIGITS: Final = re.compile(r"\d")
_HANGUL: Final = re.compile("[\uac00-\ud7a3]")
_HAN_AND_KANA: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_EXTRA_UNITS: Final = ((_DIGITS, 3), (_HANGUL, 1), (_HAN_AND_KANA, 2))


def units(text: str) -> int:
    """Return how long a text takes to say; never less than its number of characters."""
    wider = _EXTRA_UNITS[:1] if text.isascii() else _EXTRA_UNITS
    return len(text) + sum(extra * len(pattern.findall(text)) for pattern, extra in wider)


def units_of_each(text: str) -> list[int]:
    """Return the units of each character."""
    widths = [1] * len(text)
    for pattern, extra in _EXTRA_UNITS:
        for match in pattern.finditer(text):
            widths[match.start()] += extra
    return widths
