"""Where the chapters of an EPUB begin: where its table of contents says, or else at headings. Reads no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from producer.documents.blocks import Placed
from producer.documents.epub.contents import Entry
from producer.documents.epub.page import Page
from producer.documents.headings import split_at_headings


@dataclass(frozen=True, slots=True)
class Part:
    """The blocks of one chapter."""

    #: From the table of contents or a heading.
    title: str | None
    #: Title of the page on which it begins, for want of a better one.
    page_title: str
    placed: Sequence[Placed]


def divide(pages: Sequence[Page], contents: Sequence[Entry]) -> Iterator[Part]:
    """Yield the chapters of a book in the order of its pages, which is not always that of the table."""
    if not any(entry.path == page.path for entry in contents for page in pages):
        for page in pages:
            for title, placed in split_at_headings(page.placed()):
                yield Part(title, page.title, placed)
        return
    placed = [each for page in pages for each in page.placed()]
    page_titles = {page.path: page.title for page in pages}
    titles = _starts(pages, contents)
    for start, end in pairwise([*sorted({0, *titles}), len(placed)]):
        if start < end:
            yield Part(titles.get(start), page_titles[placed[start].file], placed[start:end])


def _starts(pages: Sequence[Page], contents: Sequence[Entry]) -> dict[int, str]:
    """Return where chapters begin, as positions in the row of all blocks, with their titles."""
    beginnings: dict[str, int] = {}
    anchors: dict[tuple[str, str], int] = {}
    position = 0
    for page in pages:
        beginnings[page.path] = position
        for block in page.blocks:
            for anchor in block.anchors:
                anchors.setdefault((page.path, anchor), position)
            position += 1
    titles: dict[int, str] = {}
    for entry in contents:
        if entry.path in beginnings:
            # A place that is not there is most often the page's beginning.
            start = anchors.get((entry.path, entry.fragment or ""), beginnings[entry.path])
            # "Part One" and "Chapter 1" may begin at the same place.
            outer = titles.get(start, entry.title)
            titles[start] = entry.title if outer == entry.title else f"{outer}: {entry.title}"
    return titles
