"""What marks in a text ask for, and where. Knows nothing of how a mark is written, nor of what a segment is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark that was taken out of the text: exactly one of `pause_s` and `voice` is set."""

    #: Where it stood in the clean text: in front of the character at this position, or at the text's end.
    position: int
    #: Seconds of silence, above 0.
    pause_s: float | None = None
    #: Name of who speaks from here on.
    voice: str | None = None
