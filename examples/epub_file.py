"""An EPUB 3 file that EPUB 2 readers open too: package, both tables of contents, pages. Knows nothing of the text."""

from __future__ import annotations

import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

#: Every file in the archive gets this date, so that the same book is the same bytes.
DATE = (2000, 1, 1, 0, 0, 0)

_CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
  <rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
_PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="{language}">
  <metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
    <dc:identifier id="id">{identifier}</dc:identifier>
    <dc:title>{title}</dc:title>
    <dc:creator id="author">{author}</dc:creator>
    <meta refines="#author" property="role" scheme="marc:relators">aut</meta>
    <dc:language>{language}</dc:language>
    <meta property="dcterms:modified">2000-01-01T00:00:00Z</meta>
    <meta name="cover" content="cover"/>
  </metadata>
  <manifest>
    <item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
    <item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
    <item id="cover" href="cover.png" media-type="image/png" properties="cover-image"/>
{items}
  </manifest>
  <spine toc="ncx">
{spine}
  </spine>
</package>
"""
_PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="{language}" \
xml:lang="{language}">
<head><title>{title}</title></head>
<body>
{body}
</body>
</html>
"""
_NCX = """<?xml version="1.0" encoding="utf-8"?>
<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1">
<head><meta name="dtb:uid" content="{identifier}"/></head>
<docTitle><text>{title}</text></docTitle>
<navMap>
{points}
</navMap>
</ncx>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One chapter: its title, and what stands in its body, as XHTML."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Book:
    """What goes into the file."""

    title: str
    author: str
    language: str
    cover_png: bytes
    pages: list[Page]


def write_epub(book: Book, destination: Path) -> None:
    """Write a book; the same book gives the same bytes."""
    names = [f"chapter-{number:02}.xhtml" for number in range(len(book.pages))]
    files = {
        "META-INF/container.xml": _CONTAINER,
        "OEBPS/content.opf": _package(book, names),
        "OEBPS/nav.xhtml": _nav(book, names),
        "OEBPS/toc.ncx": _ncx(book, names),
        "OEBPS/cover.png": book.cover_png,
        **{f"OEBPS/{name}": _page(book, page) for name, page in zip(names, book.pages, strict=True)},
    }
    with zipfile.ZipFile(destination, "w") as archive:
        # First and not packed, so that the file can be told by its beginning.
        archive.writestr(zipfile.ZipInfo("mimetype", DATE), "application/epub+zip")
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_DEFLATED)


def _identifier(book: Book) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{book.author}/{book.title}')}"


def _package(book: Book, names: list[str]) -> str:
    items = [
        f'    <item id="page{number}" href="{name}" media-type="application/xhtml+xml"/>'
        for number, name in enumerate(names)
    ]
    return _PACKAGE.format(
        identifier=_identifier(book),
        title=escape(book.title),
        author=escape(book.author),
        language=book.language,
        items="\n".join(items),
        spine="\n".join(f'    <itemref idref="page{number}"/>' for number in range(len(names))),
    )


def _page(book: Book, page: Page) -> str:
    return _PAGE.format(language=book.language, title=escape(book.title), body=page.body)


def _nav(book: Book, names: list[str]) -> str:
    rows = [
        f"<li><a href={quoteattr(name)}>{escape(page.title)}</a></li>"
        for name, page in zip(names, book.pages, strict=True)
    ]
    body = '<nav epub:type="toc"><h1>Contents</h1>\n<ol>\n{}\n</ol></nav>'.format("\n".join(rows))
    return _page(book, Page("Contents", body))


def _ncx(book: Book, names: list[str]) -> str:
    points = [
        f'<navPoint id="p{number}" playOrder="{number + 1}"><navLabel><text>{escape(page.title)}</text></navLabel>'
        f"<content src={quoteattr(name)}/></navPoint>"
        for number, (name, page) in enumerate(zip(names, book.pages, strict=True))
    ]
    return _NCX.format(identifier=_identifier(book), title=escape(book.title), points="\n".join(points))
