"""What a finished file says about itself: its names, its chapters, its cover, and that a machine speaks.

Knows nothing of how a format stores it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChapterMark:
    """Where a chapter begins in the audio."""

    title: str
    #: Position of its first sample; the first chapter of a file begins at 0.
    offset_samples: int


@dataclass(frozen=True, slots=True)
class Tags:
    """One file's tags; each format stores those that it has a place for."""

    title: str | None = None
    author: str | None = None
    #: What the file is a part of: the book's title in the file of a chapter.
    album: str | None = None
    genre: str | None = None
    #: The contract's code, of two letters.
    language: str | None = None
    #: Number of this file among those of the same album, from 1, and how many there are.
    track: tuple[int, int] | None = None
    #: Ascending, the first one at 0; empty: none.
    chapters: tuple[ChapterMark, ...] = ()
    #: A JPEG or PNG file.
    cover: bytes | None = None
    #: What spoke: the engine's identity, or its name; None: not known.
    engine: str | None = None
    #: Whether every take carries an inaudible watermark; None: not known.
    is_watermarked: bool | None = None
