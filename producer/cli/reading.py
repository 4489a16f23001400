"""What the command line takes for a text: a book by its chapters, anything else as it is.

Knows nothing of what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from producer.cli.options import given
from producer.contract.chapter import MAX_CHAPTERS
from producer.contract.narration import MAX_TITLE_CHARS
from producer.textfile import STANDARD_INPUT, read_text

if TYPE_CHECKING:
    from producer.documents import Document

#: Names of files that are read as documents.
_DOCUMENTS: Final = frozenset({".epub", ".md", ".markdown"})


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, and what its file says about it."""

    #: Fields of a narration: its text, and title, author, language and chapters as far as a document says them.
    fields: dict[str, object]
    #: A JPEG or PNG file.
    cover: bytes | None = None


def read(name: str) -> Reading:
    """Return the text of a file, or of standard input for `-`.

    Raises:
        UnreadableInputError: see `producer.textfile.read_text` and docs/documents.md.
    """
    if name == STANDARD_INPUT or Path(name).suffix.lower() not in _DOCUMENTS:
        return Reading({"text": read_text(name)})
    # Parsers, which no other command needs.
    from producer.documents import read_document

    document = read_document(name)
    said = given(title=_shortened(document.title), author=_shortened(document.author), language=document.language)
    return Reading({"text": document.text, "chapters": _chapters(document), **said}, document.cover)


def _chapters(document: Document) -> list[dict[str, object]]:
    """Return where the chapters begin; none if there is but one, or more than a narration may have."""
    if not 1 < len(document.chapters) <= MAX_CHAPTERS:
        return []
    starts = zip(document.chapters, document.chapter_starts, strict=True)
    marks = [(start, chapter.title[:MAX_TITLE_CHARS]) for chapter, start in starts if chapter.text]
    # Whatever stands in front of the first chapter that has a text belongs to it.
    return [{"title": title, "start": start if number else 0} for number, (start, title) in enumerate(marks)]


def _shortened(title: str | None) -> str | None:
    return title[:MAX_TITLE_CHARS] if title else None
