"""A document as a narration needs it: title, author, and chapters of plain text. Knows no file format."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Final

#: What stands between two chapters when a document is one text; the text splitter ends a paragraph there.
CHAPTER_BREAK: Final = "\n\n"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a stretch of a chapter's text was found, in terms of what a person can open."""

    #: Position in the chapter's text, in characters; the stretch goes on until the next origin.
    start: int
    #: The file: its path inside of an EPUB, else the document's own name.
    file: str
    #: Its line there, from 1.
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter. Paragraphs are separated by a blank line, headings begin with `#`, list items with `- ` or `1. `.

    Lines of verse stand one below the other.
    """

    title: str
    text: str
    #: Ascending by `start`; the first one starts at 0.
    source: tuple[Origin, ...]

    def origin(self, position: int) -> Origin:
        """Return where the character at a position of the text comes from."""
        index = bisect_right(self.source, position, key=lambda origin: origin.start)
        return self.source[max(index - 1, 0)]


@dataclass(frozen=True)
class Document:
    """A book: chapters in reading order, and what the file says about itself."""

    title: str | None
    author: str | None
    #: One of our codes; None if the file does not say, or names a language that we do not speak.
    language: str | None
    #: A JPEG or PNG file.
    cover: bytes | None
    chapters: tuple[Chapter, ...]

    @cached_property
    def text(self) -> str:
        """All chapters as one text."""
        return CHAPTER_BREAK.join(chapter.text for chapter in self.chapters)

    @cached_property
    def chapter_starts(self) -> tuple[int, ...]:
        """Where each chapter begins in `text`, in characters."""
        starts, position = [], 0
        for chapter in self.chapters:
            starts.append(position)
            position += len(chapter.text) + len(CHAPTER_BREAK)
        return tuple(starts)

    def locate(self, position: int) -> tuple[int, Origin]:
        """Return the chapter's index and the origin of the character at a position of `text`."""
        index = max(bisect_right(self.chapter_starts, position) - 1, 0)
        return index, self.chapters[index].origin(position - self.chapter_starts[index])
