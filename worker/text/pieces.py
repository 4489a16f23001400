"""Sentences into pieces of the right length: long ones cut, short ones joined.

Knows nothing of paragraphs; positions are those of the text it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from worker.text.cutting import cut
from worker.text.joining import Stretch, joined
from worker.text.measure import units


@dataclass(frozen=True, slots=True)
class Piece:
    """A span that one model pass speaks."""

    start: int
    end: int
    #: False: the sentence goes on in the next piece.
    ends_sentence: bool


#: What a comma at the end of a line of verse takes.
_COMMA_UNITS: Final = 1


def pieces(text: str, ends: list[int], *, forced: Iterable[int] = (), line_ends: Iterable[int] = ()) -> list[Piece]:
    """Return the pieces of a paragraph; they follow each other without a gap.

    Args:
        text: the paragraph, on one line.
        ends: where its sentences end, ascending; the last is the text's own end.
        forced: where a piece has to end, whatever stands there.
        line_ends: where the lines of verse end; a piece ends at one of these or at the end of a sentence.
    """
    fixed = set(forced)
    lines = set(line_ends)
    sentences = set(ends)
    cuts: list[Piece] = []
    for whole_start, whole_end in _spans({*ends, *fixed, *lines}, len(text)):
        if cuts and text[whole_start:whole_end].isspace():  # between a sentence and the mark behind it
            cuts[-1] = replace(cuts[-1], end=whole_end)
            continue
        cuts += (Piece(start, end, end in sentences) for start, end in cut(text, whole_start, whole_end))
    extra_units = _COMMA_UNITS if lines else 0
    stretches = [_stretch(text, piece, fixed, extra_units) for piece in cuts]
    return [
        Piece(cuts[group[0]].start, cuts[group[-1]].end, cuts[group[-1]].ends_sentence) for group in joined(stretches)
    ]


def _spans(ends: set[int], length: int) -> Iterator[tuple[int, int]]:
    start = 0
    for end in sorted(ends | {length}):
        if start < end <= length:
            yield start, end
            start = end


def _stretch(text: str, piece: Piece, fixed: set[int], extra_units: int) -> Stretch:
    said = text[piece.start : piece.end].strip()
    return Stretch(said, units(said) + extra_units, is_open=piece.end not in fixed)
