"""A segment's text cut into what a screen shows at once: two lines, of 42 columns each.

Knows nothing of times or files. 42 columns are what broadcasters allow; a Chinese, Japanese or Korean character takes
two of them, so that such a line holds 21.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

MAX_COLUMNS: Final = 42

#: Kinds of characters (Unicode's general categories) that belong to what stands before them, and behind.
_CLOSING: Final = frozenset({"Pe", "Pf"})
_OPENING: Final = frozenset({"Ps", "Pi"})
_PLAIN_QUOTES: Final = "\"'"
#: What ends a sentence or a clause in the 23 languages; wide forms count as the plain ones that they stand for.
_SENTENCE_ENDS: Final = (".", "!", "?", "\u3002", "\u061f", "\u06d4", "\u0964")
_CLAUSE_ENDS: Final = (",", ";", ":", "\u2014", "\u2013", "\u3001", "\u060c", "\u061b")
#: May not begin a line of wide characters (JIS X 4051), beside punctuation: small kana. Signs of iteration and of long
#: vowels are letters of the kind `Lm`.
_SMALL_KANA: Final = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ")
#: A cue is cut where a sentence or clause ends, if neither part is shorter than this part of the whole.
_LEAST_PART: Final = 0.2


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at once."""

    lines: tuple[str, ...]
    #: Characters of the segment before and after it, without white space: what its time is reckoned by.
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Unit:
    """A run of characters that no line break may part."""

    text: str
    #: Whether white space stands before it.
    is_spaced: bool
    columns: int


def cut(text: str) -> list[Cue]:
    """Return the cues of a text, in order; all of it is in them, with white space made single."""
    cues = []
    position = 0
    for part in _parts(_units(text)):
        length = sum(len(unit.text) for unit in part)
        cues.append(Cue(tuple(_wrapped(part) or [_joined(part)]), position, position + length))
        position += length
    return cues


def columns(text: str) -> int:
    """Return how many columns a text takes on a screen."""
    return sum(_columns_of(character) for character in text)


@lru_cache(maxsize=8_192)
def _columns_of(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _units(text: str) -> list[_Unit]:
    found: list[_Unit] = []
    for word in text.split():
        pieces = [piece for unit in _broken(word) for piece in _of_a_line(unit)]
        found += [_Unit(piece, number == 0, columns(piece)) for number, piece in enumerate(pieces)]
    return found


def _broken(word: str) -> list[str]:
    """Cut a word between wide characters; where one of them may not begin or end a line it stays with its neighbour."""
    units = [""]
    for before, character in zip(" " + word, word, strict=False):
        is_wide = 2 in {_columns_of(before), _columns_of(character)}
        if is_wide and units[-1] and _may_begin_line(character) and unicodedata.category(before) not in _OPENING:
            units.append("")
        units[-1] += character
    return units


def _may_begin_line(character: str) -> bool:
    kind = unicodedata.category(character)
    return not (kind in _CLOSING | {"Po", "Lm"} or character in _SMALL_KANA)


def _of_a_line(unit: str) -> list[str]:
    """Cut what is longer than a line: a web address, or a word that is none."""
    pieces, room = [""], MAX_COLUMNS
    for character in unit:
        room -= _columns_of(character)
        if room < 0:
            pieces.append("")
            room = MAX_COLUMNS - _columns_of(character)
        pieces[-1] += character
    return pieces


def _parts(units: list[_Unit]) -> list[list[_Unit]]:
    """Halve the units until each part fits on the screen."""
    left, done = [units] if units else [], []
    while left:
        part = left.pop()
        if _wrapped(part):
            done.append(part)
        else:
            place = _best_cut(part)
            left += [part[place:], part[:place]]
    return done


def _best_cut(units: list[_Unit]) -> int:
    """Return the place nearest to the middle at which a sentence ends, else a clause, else a word, else any."""
    lengths = [len(unit.text) for unit in units]
    total, before = sum(lengths), 0
    ranked = []
    for place in range(1, len(units)):
        before += lengths[place - 1]
        off = abs(before / total - 0.5)
        is_far = off > 0.5 - _LEAST_PART
        rank = 2 if is_far else _rank(units[place - 1].text)
        ranked.append((rank if rank < 2 or units[place].is_spaced else 3, off, place))
    return min(ranked)[2]


def _rank(text: str) -> int:
    """Return 0 where a sentence ends with this text, 1 where a clause does, else 2; quotes may close after it."""
    while text and (unicodedata.category(text[-1]) in _CLOSING or text[-1] in _PLAIN_QUOTES):
        text = text[:-1]
    plain = unicodedata.normalize("NFKC", text)
    return 0 if plain.endswith(_SENTENCE_ENDS) else 1 if plain.endswith(_CLAUSE_ENDS) else 2


def _wrapped(units: list[_Unit]) -> list[str] | None:
    """Return one line, or two that are as equal as may be; None if they do not fit."""
    ends = list(accumulate(unit.columns + (unit.is_spaced and number > 0) for number, unit in enumerate(units)))
    if ends[-1] <= MAX_COLUMNS:
        return [_joined(units)]
    if ends[-1] > 2 * MAX_COLUMNS + 1:
        return None
    halves = (
        (max(ends[place - 1], ends[-1] - ends[place - 1] - units[place].is_spaced), place)
        for place in range(1, len(units))
    )
    widest, place = min(halves)
    return [_joined(units[:place]), _joined(units[place:])] if widest <= MAX_COLUMNS else None


def _joined(units: list[_Unit]) -> str:
    return "".join(" " * (unit.is_spaced and number > 0) + unit.text for number, unit in enumerate(units))
