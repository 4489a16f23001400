"""An EPUB file, read into a document. Knows nothing of how an archive or a page is read."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import BinaryIO, Final

from producer.contract.narration import is_speakable
from producer.documents.blocks import chapter
from producer.documents.document import Chapter, Document
from producer.documents.epub.archive import Archive
from producer.documents.epub.contents import read_contents
from producer.documents.epub.division import Part, divide
from producer.documents.epub.package import Package, read_cover, read_package
from producer.documents.epub.page import Page, read_page
from producer.documents.epub.protection import refuse_protected
from producer.documents.headings import first_heading
from producer.documents.language import language_of
from producer.documents.refusal import RefusedError

#: Characters of a book; the longest that are sold as one have six million.
MAX_BOOK_CHARS: Final = 8_000_000
#: What a paragraph counts beside its characters, for the memory that it takes.
_PARAGRAPH_CHARS: Final = 10


def read_epub(file: BinaryIO) -> Document:
    """Return the book in an open EPUB file.

    Raises:
        RefusedError: it cannot be read, or not within the limits; the reason names what is wrong and where.
    """
    archive = Archive(file)
    refuse_protected(archive)
    package = read_package(archive)
    contents = read_contents(archive, package)
    parts = divide(_pages(archive, package), contents)
    chapters = tuple(_chapter(part, package) for part in parts if _has_words(part))
    if not chapters:
        raise RefusedError("epub_no_text", "holds no text to read: its pages are pictures, or empty")
    return Document(
        title=package.title,
        author=package.author,
        language=language_of(package.language),
        cover=read_cover(archive, package),
        chapters=chapters,
    )


def _pages(archive: Archive, package: Package) -> list[Page]:
    pages: list[Page] = []
    num_chars = 0
    # A page that the spine names twice is read once.
    for path in dict.fromkeys(package.spine):
        if path in package.contents_pages:
            continue
        page = read_page(archive.read(path), path)
        if page.is_contents:
            continue
        num_chars += sum(len(block.text) + _PARAGRAPH_CHARS for block in page.blocks)
        if num_chars > MAX_BOOK_CHARS:
            raise RefusedError("text_too_long", f"has more than {MAX_BOOK_CHARS} characters; it is not one book")
        pages.append(page)
    return pages


def _has_words(part: Part) -> bool:
    return any(is_speakable(each.block.text) for each in part.placed)


def _chapter(part: Part, package: Package) -> Chapter:
    # Many books write their own title into the head of every page.
    page_title = part.page_title if part.page_title != package.title else ""
    title = part.title or first_heading(part.placed) or page_title or PurePosixPath(part.placed[0].file).stem
    return chapter(title, part.placed)
