"""EPUB files for tests, made part by part so that each part can be wrong. Shares nothing with what reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

MIMETYPE = b"application/epub+zip"
CONTAINER = """<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="{path}" media-type="application/oebps-package+xml"/></rootfiles></container>"""
XHTML = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
<head><title>{title}</title></head><body>
{body}
</body></html>"""
OPF = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="{version}" unique-identifier="i">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">
{metadata}</metadata><manifest>{manifest}</manifest><spine{spine_attributes}>{spine}</spine>{guide}</package>"""
METADATA = '<dc:identifier id="i">x</dc:identifier><dc:title>A Book</dc:title><dc:language>en</dc:language>'


def page(body: str, title: str = "A Book") -> str:
    """Return a page of XHTML."""
    return XHTML.format(title=title, body=body)


def nav(rows: str) -> str:
    """Return a table of contents of EPUB 3, from its `li` elements."""
    return page(f'<nav epub:type="toc"><h1>Contents</h1><ol>{rows}</ol></nav>')


def ncx(points: str) -> str:
    """Return a table of contents of EPUB 2, from its `navPoint` elements."""
    return (
        '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" '
        '"http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">'
        f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{points}</navMap></ncx>'
    )


def point(title: str, source: str, inside: str = "") -> str:
    """Return an entry of `ncx`."""
    return f'<navPoint><navLabel><text>{title}</text></navLabel><content src="{source}"/>{inside}</navPoint>'


def package(
    *pages: str,
    version: str = "3.0",
    metadata: str = METADATA,
    manifest: str = "",
    spine: str = "",
    spine_attributes: str = "",
    guide: str = "",
) -> str:
    """Return a package file whose pages are read in the order given; the rest is added as it is."""
    items = [f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in pages]
    return OPF.format(
        version=version,
        metadata=metadata,
        manifest="".join(items) + manifest,
        spine_attributes=spine_attributes,
        spine="".join(f'<itemref idref="{name}"/>' for name in pages) + spine,
        guide=guide,
    )


def epub(files: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive of files, with a mimetype in front."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", MIMETYPE)
        for name, content in files.items():
            archive.writestr(name, content, compression)
    return buffer.getvalue()


def book(*bodies: str, extra: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return an EPUB 3 without a table of contents, of pages `p1.xhtml` and so on."""
    names = [f"p{number}.xhtml" for number in range(1, len(bodies) + 1)]
    return epub(
        {
            "META-INF/container.xml": CONTAINER.format(path="OEBPS/book.opf"),
            "OEBPS/book.opf": package(*names),
            **{f"OEBPS/{name}": page(body) for name, body in zip(names, bodies, strict=True)},
            **(extra or {}),
        }
    )


def saved(folder: Path, data: bytes, name: str = "book.epub") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(data)
    return path
