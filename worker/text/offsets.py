"""Rewriting a text, and the way between its positions before and after. Knows nothing of what is rewritten."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self


class Edit(NamedTuple):
    """A span of a text and what it becomes."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """Where the characters of a rewritten text were before."""

    #: Positions in the new text, ascending; the first is 0.
    starts: list[int]
    #: From the start in the same place on: what to add to a new position to get the old one.
    shifts: list[int]

    def before(self, position: int) -> int:
        """Return where the character at this position was."""
        return position + self.shifts[bisect_right(self.starts, position) - 1]

    def after(self, positions: Iterable[int]) -> list[int]:
        """Return where these positions of the old text are now; one that was taken out is where the next one is."""
        olds = [start + shift for start, shift in zip(self.starts, self.shifts, strict=True)]
        return [self._after(olds, position) for position in positions]

    def _after(self, olds: list[int], position: int) -> int:
        run = bisect_left(olds, position)
        if run == 0:
            return self.starts[0]
        moved = self.starts[run - 1] + position - olds[run - 1]
        return min(moved, self.starts[run]) if run < len(olds) else moved

    def then(self, later: Self) -> OffsetMap:
        """Return the map of this rewriting and a later one of its result together; takes time linear in both."""
        starts: list[int] = []
        shifts: list[int] = []
        ends: list[int | None] = [*later.starts[1:], None]
        for start, end, shift in zip(later.starts, ends, later.shifts, strict=True):
            if start == end:
                continue
            run, place = bisect_right(self.starts, start + shift) - 1, start
            while True:
                if not shifts or shifts[-1] != shift + self.shifts[run]:
                    starts.append(place)
                    shifts.append(shift + self.shifts[run])
                run += 1
                if run == len(self.starts) or (end is not None and self.starts[run] - shift >= end):
                    break
                place = self.starts[run] - shift
        return OffsetMap(starts, shifts)


#: The map of a text that stayed as it was.
UNCHANGED = OffsetMap([0], [0])


def rewritten(text: str, edits: Iterable[Edit]) -> tuple[str, OffsetMap]:
    """Return the text with all edits made, which ascend and do not overlap, and where its characters were.

    Where the new words are longer than the old ones, their positions are spread evenly over the old ones.
    """
    pieces: list[str] = []
    starts, shifts = [0], [0]
    done = length = 0
    for edit in edits:
        kept = text[done : edit.start]
        pieces += (kept, edit.text)
        length += len(kept)
        num_old, num_new = edit.end - edit.start, len(edit.text)
        for place in range(1, num_new if num_new > num_old else 0):
            starts.append(length + place)
            shifts.append(edit.start + place * num_old // num_new - length - place)
        length += num_new
        done = edit.end
        starts.append(length)
        shifts.append(done - length)
    pieces.append(text[done:])
    return "".join(pieces), OffsetMap(starts, shifts)
