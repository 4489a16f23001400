"""The package file of an EPUB: what the book is called, which files it has, and in which order they are read.

Knows nothing of what the files hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from producer.documents.epub.archive import Archive, resolve
from producer.documents.epub.tree import Element, read_tree
from producer.documents.refusal import RefusedError

CONTAINER: Final = "META-INF/container.xml"
#: Bytes of a package file or a table of contents; those of very large books have one or two million.
MAX_PACKAGE_BYTES: Final = 8_000_000
#: Bytes of a cover.
_MAX_COVER_BYTES: Final = 16_000_000

#: What a chapter is written in: EPUB, badly made EPUB, EPUB 2's two other kinds.
_TEXT_TYPES: Final = frozenset(
    {"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document", "application/xml"}
)
#: A page that is a picture has nothing to say.
_PICTURE: Final = "image/"
NCX_TYPE: Final = "application/x-dtbncx+xml"
_COVER_MAGIC: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the book, by the path that it has in the archive; None if the path leads out of it."""

    id: str
    path: str | None
    media_type: str
    properties: frozenset[str]
    #: Id of what can be read in its place.
    fallback: str | None


@dataclass(frozen=True, slots=True)
class Package:
    """What the package file says."""

    path: str
    title: str | None
    author: str | None
    language: str | None
    items: dict[str, Item]
    #: Paths of the texts, in reading order.
    spine: tuple[str, ...]
    #: Path of the EPUB 2 table of contents.
    ncx: str | None
    #: Path of the EPUB 3 table of contents.
    nav: str | None
    #: Paths of pages that are only tables of contents.
    contents_pages: frozenset[str]
    #: Path of the cover's picture.
    cover: str | None


def read_package(archive: Archive) -> Package:
    """Return what an EPUB says about itself.

    Raises:
        RefusedError: `epub_no_package`, and what the archive and the markup raise.
    """
    path = _package_path(archive)
    root = next(read_tree(archive.read(path, max_bytes=MAX_PACKAGE_BYTES)).elements("package"), None)
    if root is None:
        raise RefusedError("epub_no_package", f"has a package file that is none: {path!r}")
    items = {item.id: item for item in _items(root, path)}
    spine = next(root.elements("spine"), None)
    if spine is None:
        raise RefusedError("epub_no_package", f"does not say in which order it is read: {path!r} has no spine")
    guide = list(_references(root, path))
    return Package(
        path=path,
        title=next(iter(_metadata(root, "title")), None),
        author=", ".join(_metadata(root, "creator")) or None,
        language=next(iter(_metadata(root, "language")), None),
        items=items,
        spine=tuple(_spine_paths(spine, items)),
        ncx=_ncx(spine, items),
        nav=next((item.path for item in items.values() if "nav" in item.properties), None),
        contents_pages=frozenset(reference for kind, reference in guide if kind == "toc"),
        cover=_cover(root, items),
    )


def read_cover(archive: Archive, package: Package) -> bytes | None:
    """Return the cover if there is one that can be put into an audio file; a broken cover is none."""
    if package.cover is None:
        return None
    try:
        data = archive.read(package.cover, max_bytes=_MAX_COVER_BYTES)
    except RefusedError:
        return None
    return data if data.startswith(_COVER_MAGIC) else None


def _package_path(archive: Archive) -> str:
    if archive.find(CONTAINER) is None:
        raise RefusedError("epub_no_package", f"is no EPUB, as it holds no {CONTAINER}; export it as plain text")
    for rootfile in read_tree(archive.read(CONTAINER, max_bytes=MAX_PACKAGE_BYTES)).all("rootfile"):
        path = rootfile.attribute("full-path")
        if path:
            return resolve("", path)
    raise RefusedError("epub_no_package", f"has a {CONTAINER} that names no package file")


def _metadata(root: Element, name: str) -> list[str]:
    """Return what the book says about itself under a name; of people, only those who wrote it."""
    found = []
    for metadata in root.elements("metadata"):
        roles = {
            (meta.attribute("refines") or "").removeprefix("#"): meta.text()
            for meta in metadata.elements("meta")
            if meta.attribute("property") == "role"
        }
        # EPUB 2 may put them one level deeper, into `dc-metadata`.
        for element in metadata.all(name):
            role = element.attribute("role") or roles.get(element.attribute("id") or "", "aut")
            if element.text() and role == "aut":
                found.append(element.text())
    return found


def _items(root: Element, package_path: str) -> Iterator[Item]:
    for manifest in root.elements("manifest"):
        for element in manifest.elements("item"):
            # A sound or a font on the web is no fault; a chapter there is one, and is named when it is to be read.
            try:
                path = resolve(package_path, element.attribute("href") or "")
            except RefusedError:
                path = None
            yield Item(
                id=element.attribute("id") or "",
                path=path,
                media_type=(element.attribute("media-type") or "").strip().lower(),
                properties=frozenset((element.attribute("properties") or "").split()),
                fallback=element.attribute("fallback"),
            )


def _spine_paths(spine: Element, items: dict[str, Item]) -> Iterator[str]:
    for reference in spine.elements("itemref"):
        if (reference.attribute("linear") or "").strip().lower() == "no":
            continue
        item = _readable(items, reference.attribute("idref") or "")
        if item.media_type.startswith(_PICTURE):
            continue
        if item.path is None:
            raise RefusedError("epub_path", f"has a chapter outside of itself: {item.id[:200]!r}")
        yield item.path


def _readable(items: dict[str, Item], item_id: str) -> Item:
    """Return the item of a page, or the first that can be read in its place."""
    tried: set[str] = set()
    item = items.get(item_id)
    while item is not None and item.media_type not in _TEXT_TYPES and item.id not in tried:
        tried.add(item.id)
        if item.fallback is None:
            break
        item = items.get(item.fallback)
    if item is None:
        raise RefusedError("epub_file_missing", f"is to be read with a file that it does not list: {item_id[:200]!r}")
    if item.media_type not in _TEXT_TYPES and not item.media_type.startswith(_PICTURE):
        raise RefusedError("epub_no_text", f"has a chapter that is no text: {item.id[:200]!r} is {item.media_type!r}")
    return item


def _ncx(spine: Element, items: dict[str, Item]) -> str | None:
    named = items.get(spine.attribute("toc") or "")
    if named is None:
        named = next((item for item in items.values() if item.media_type == NCX_TYPE), None)
    return named.path if named else None


def _references(root: Element, package_path: str) -> Iterator[tuple[str, str]]:
    """Yield the guide of EPUB 2: what a page is for, and its path."""
    for guide in root.elements("guide"):
        for reference in guide.elements("reference"):
            try:
                path = resolve(package_path, reference.attribute("href") or "")
            except RefusedError:
                continue
            yield (reference.attribute("type") or "").lower(), path


def _cover(root: Element, items: dict[str, Item]) -> str | None:
    for item in items.values():
        if "cover-image" in item.properties:
            return item.path
    for meta in root.all("meta"):
        if meta.attribute("name") == "cover" and (named := items.get(meta.attribute("content") or "")):
            return named.path if named.media_type.startswith(_PICTURE) else None
    return None
