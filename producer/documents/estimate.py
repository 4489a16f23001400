"""How much speech a document is, before anything is spoken. Knows nothing of engines."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from producer.documents.document import Document

#: Characters in a second. English: Chatterbox makes 1.712 speech tokens of a character, 25 in a second, which is 14.6;
#: the draft voice speaks a little faster.
_CHARS_PER_S: Final = 15.0
#: Of scripts that write more in a character than a letter: what `worker.text` counts as two or three letters.
_CHARS_PER_S_OF: Final = {"ja": 5.0, "ko": 7.5, "zh": 5.0}
#: Seconds of a segment: "Alice's Adventures in Wonderland" has 141,200 characters that are heard and 1,052 segments,
#: as half of its paragraphs are shorter than a segment may be.
_SEGMENT_S: Final = 8.95


@dataclass(frozen=True, slots=True)
class ChapterEstimate:
    """What one chapter will be."""

    title: str
    num_chars: int
    speech_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a document will be; within some 15 %, as voices differ more than texts."""

    chapters: tuple[ChapterEstimate, ...]

    @property
    def num_chars(self) -> int:
        """Characters in all chapters that are spoken, without white space at their edges."""
        return sum(chapter.num_chars for chapter in self.chapters)

    @property
    def num_segments(self) -> int:
        """About how many segments the text will be cut into; the plan knows."""
        return max(round(self.speech_s / _SEGMENT_S), len(self.chapters))

    @property
    def speech_s(self) -> float:
        """Seconds of speech in all chapters."""
        return round(sum(chapter.speech_s for chapter in self.chapters), 1)


def estimate(document: Document, *, language: str | None = None) -> Estimate:
    """Return how long a document will take to hear.

    Args:
        document: what `read_document` returned.
        language: the language that it will be spoken in, if not the document's own; English if nobody says.
    """
    speed = _CHARS_PER_S_OF.get(language or document.language or "en", _CHARS_PER_S)
    return Estimate(
        tuple(
            ChapterEstimate(chapter.title, num_chars, round(num_chars / speed, 1))
            for chapter in document.chapters
            for num_chars in [_num_heard(chapter.text)]
        )
    )


def _num_heard(text: str) -> int:
    """Return the number of characters without those of layout: line breaks, and marks that nobody hears."""
    return len(text) - sum(text.count(mark) for mark in set(text) if _is_layout(mark))


def _is_layout(character: str) -> bool:
    return character in "\n#*" or unicodedata.category(character) in {"Cc", "Cf"}
