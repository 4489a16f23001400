"""What a finished file says about itself: its names, its chapters, its cover, and that a machine speaks.

Knows nothing of how a format stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from worker.errors import AssemblyError


@dataclass(frozen=True, slots=True)
class ChapterMark:
    """Where a chapter begins in the audio."""

    title: str
    #: Position of its first sample; the first chapter of a file begins at 0.
    offset_samples: int


@dataclass(frozen=True, slots=True)
class ChapterSpan:
    """A chapter with its end, as the formats write it."""

    title: str
    start_samples: int
    end_samples: int


@dataclass(frozen=True, slots=True)
class Tags:
    """One file's tags; each format stores those that it has a place for."""

    title: str | None = None
    author: str | None = None
    #: What the file is a part of: the book's title in the file of a chapter.
    album: str | None = None
    #: Players sort by it; "Audiobook" is in the list that ID3v1 left behind (183), and iTunes has it too.
    genre: str | None = "Audiobook"
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

    def spans(self, total_samples: int) -> tuple[ChapterSpan, ...]:
        """Return the chapters with their ends; one of which nothing is heard is left out, as no player can go there.

        Raises:
            AssemblyError: the marks do not begin at 0, do not ascend, or lie behind the end.
        """
        starts = [mark.offset_samples for mark in self.chapters]
        if starts and (starts[0] != 0 or starts != sorted(starts) or starts[-1] > total_samples):
            raise AssemblyError("the chapters do not begin at 0, do not ascend, or lie behind the end of the audio")
        ends = [end for _, end in pairwise([*starts, total_samples])]
        return tuple(
            ChapterSpan(mark.title, mark.offset_samples, end)
            for mark, end in zip(self.chapters, ends, strict=True)
            if end > mark.offset_samples
        )


#: Of a file of which nothing is known.
NO_TAGS: Final = Tags()
