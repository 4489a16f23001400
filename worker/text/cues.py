"""What marks in a text change about how it is spoken: who speaks from where on, and how long a pause is.

Knows nothing of how a mark is written, nor of sentences.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from worker.text.markup import Mark


class Cues:
    """The marks of one clean text."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        self._pauses = [(mark.position, mark.pause_s) for mark in marks if mark.pause_s is not None]
        self._voices = [(mark.position, mark.voice) for mark in marks if mark.voice is not None]
        #: Where a segment has to end, ascending.
        self._positions = [mark.position for mark in marks]

    def cuts(self, start: int, end: int) -> list[int]:
        """Return where marks stand inside of a span."""
        return self._positions[bisect_right(self._positions, start) : bisect_left(self._positions, end)]

    def pause_s(self, after: int, until: int) -> float | None:
        """Return the seconds that marks ask for between two segments; None if there is no such mark.

        Args:
            after: where the first segment begins.
            until: where the second one begins.
        """
        first = bisect_right(self._pauses, after, key=_position)
        last = bisect_right(self._pauses, until, key=_position)
        return sum(pause_s for _, pause_s in self._pauses[first:last]) if first < last else None

    def voice(self, position: int, since: int) -> str | None:
        """Return who speaks at a position; None if no mark has said so since the chapter began.

        Args:
            position: where a segment begins.
            since: where its chapter begins.
        """
        place = bisect_right(self._voices, position, key=_position) - 1
        return self._voices[place][1] if place >= 0 and self._voices[place][0] >= since else None


def _position(cue: tuple[int, float] | tuple[int, str]) -> int:
    return cue[0]
