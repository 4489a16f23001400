"""The table of contents of an EPUB: nav of EPUB 3, NCX of EPUB 2. Knows nothing of the texts it points into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from producer.documents.epub.archive import Archive, resolve
from producer.documents.epub.package import MAX_PACKAGE_BYTES, Package
from producer.documents.epub.tree import Element, read_tree
from producer.documents.refusal import RefusedError

#: Levels of the table that can be chapters: parts, and chapters in them. What is below are sections.
_MAX_LEVEL: Final = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table."""

    title: str
    path: str
    #: Name of a place in the file; None for its beginning.
    fragment: str | None


def read_contents(archive: Archive, package: Package) -> list[Entry]:
    """Return the entries that begin chapters, in the table's order; none if there is no table.

    An entry below another one begins a chapter if it points into another file, as chapters of a part do and sections
    of a chapter do not, or if the whole book is one file.

    Raises:
        RefusedError: what the archive and the markup raise. An entry that points nowhere is passed over.
    """
    for path, walk in ((package.nav, _nav_entries), (package.ncx, _ncx_entries)):
        if path is None or archive.find(path) is None:
            continue
        root = read_tree(archive.read(path, max_bytes=MAX_PACKAGE_BYTES))
        is_one_file = len(set(package.spine) - package.contents_pages) == 1
        entries = [
            entry
            for entry, level, parent in walk(root, path)
            if level == 1 or (level <= _MAX_LEVEL and (is_one_file or parent is None or entry.path != parent.path))
        ]
        if entries:
            return entries
    return []


_Found = tuple[Entry, int, Entry | None]


def _nav_entries(root: Element, path: str) -> Iterator[_Found]:
    navs = list(root.all("nav"))
    tables = [nav for nav in navs if "toc" in (nav.attributes.get("epub:type") or nav.attribute("role") or "").split()]
    for nav in tables or [nav for nav in navs if not nav.attribute("type")][:1]:
        for row in nav.elements("ol"):
            yield from _nav_rows(row, path, 1, None)


def _nav_rows(table: Element, path: str, level: int, parent: Entry | None) -> Iterator[_Found]:
    for row in table.elements("li"):
        link = _own_link(row)
        entry = _entry(link.text(), link.attribute("href"), path) if link else None
        if entry:
            yield entry, level, parent
        for below in row.elements("ol"):
            # Below a title that is no link, the rows are as good as the ones above.
            yield from _nav_rows(below, path, level + 1 if entry else level, entry or parent)


def _own_link(row: Element) -> Element | None:
    """Return the link of a row, not one of the rows below it."""
    for child in row.elements():
        link = child if child.name == "a" else next(child.all("a"), None) if child.name != "ol" else None
        if link is not None:
            return link
    return None


def _ncx_entries(root: Element, path: str) -> Iterator[_Found]:
    for navigation in root.all("navmap"):
        yield from _ncx_points(navigation, path, 1, None)


def _ncx_points(table: Element, path: str, level: int, parent: Entry | None) -> Iterator[_Found]:
    for point in table.elements("navpoint"):
        label = next(point.elements("navlabel"), None)
        content = next(point.elements("content"), None)
        entry = _entry(label.text(), content.attribute("src"), path) if label and content else None
        if entry:
            yield entry, level, parent
        yield from _ncx_points(point, path, level + 1 if entry else level, entry or parent)


def _entry(title: str, reference: str | None, path: str) -> Entry | None:
    if not title or not reference:
        return None
    try:
        target = resolve(path, reference)
    except RefusedError:
        return None
    fragment = unquote(reference.partition("#")[2])
    return Entry(title, target, fragment or None)
