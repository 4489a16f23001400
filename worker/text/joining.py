"""Which neighbouring sentences are spoken in one breath. Knows nothing of where sentences end.

Speaking them together fills the GPU and keeps the melody. Filling each segment up from the left would do that too,
but one word more would move the borders of all that follows in its paragraph, and all of it would be spoken again. So
the borders are chosen by content, as in content-defined chunking (Muthitacharoen, Chen and Mazieres, "A low-bandwidth
network file system", SOSP 2001): each has a weight, the hash of the sentence before it, and the lightest one goes first
if both sides fit into one segment. Whether a border stays is decided near by, and an edit is forgotten after a border
or two. Where we differ: the hash does not say where a chunk ends but in which order borders are tried, because a
segment has a ceiling and should come near it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from worker.text.measure import MAX_SEGMENT_UNITS, MIN_SEGMENT_UNITS


@dataclass(frozen=True, slots=True)
class Stretch:
    """A sentence or a part of one, as joining sees it."""

    text: str
    units: int
    #: Whether it may be joined with the next one.
    is_open: bool


def joined(stretches: Sequence[Stretch]) -> list[range]:
    """Return which stretches make up each segment, in order.

    No two neighbours that are left would fit together, unless the border between them has to stay.

    Args:
        stretches: those of one paragraph; none is longer than a segment may be.
    """
    first = list(range(len(stretches)))  # of the segment that ends with this stretch
    last = list(range(len(stretches)))  # of the segment that begins with this stretch
    size = [stretch.units for stretch in stretches]  # of the segment that begins with this stretch
    for border in sorted(_borders(stretches), key=lambda border: _weight(stretches, border)):
        begin = first[border]
        # One unit for the space between them.
        if size[begin] + 1 + size[border + 1] <= MAX_SEGMENT_UNITS:
            size[begin] += 1 + size[border + 1]
            last[begin] = last[border + 1]
            first[last[begin]] = begin
    segments = []
    begin = 0
    while begin < len(stretches):
        segments.append(range(begin, last[begin] + 1))
        begin = last[begin] + 1
    return segments


def _borders(stretches: Sequence[Stretch]) -> list[int]:
    return [index for index in range(len(stretches) - 1) if stretches[index].is_open]


def _weight(stretches: Sequence[Stretch], border: int) -> tuple[bool, int, int]:
    """Return what borders are sorted by: those of a stretch too short to be spoken alone come first."""
    before, after = stretches[border], stretches[border + 1]
    is_long = min(before.units, after.units) >= MIN_SEGMENT_UNITS
    return is_long, zlib.crc32(before.text.encode(errors="surrogatepass")), border
