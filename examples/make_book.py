"""Make an EPUB of a whole public-domain book: `python examples/make_book.py out/book.epub`.

The text of "Alice's Adventures in Wonderland" comes from the package that `fetch_book.py` names; neither it nor the
EPUB is kept in this repository. Chapters, verse and emphasis of the plain text become XHTML.
"""

from __future__ import annotations

import importlib.util
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, unescape

# Run by its path, only this folder is where modules are looked for; imported by a test, only the repository's root is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.epub_file import Book, Page, write_epub
from examples.fetch_book import fetch_book

TITLE = "Alice\u2019s Adventures in Wonderland"
AUTHOR = "Lewis Carroll"

#: A chapter's number and, in the next paragraph, its name; both centred by spaces.
_CHAPTER = re.compile(r"^ +CHAPTER (?P<number>[IVX]+)\n\s*\n +(?P<name>\S.*)\n", re.MULTILINE)
_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
_STARS = re.compile(r"[*\s]+")
#: Columns by which verse is indented at least; paragraphs begin with two spaces.
_VERSE_COLUMNS = 6
#: A quotation mark in front of a word.
_OPENING = re.compile(r'(?<![\w.,;:!?])"(?=\w)')
_EMPHASIS = re.compile(r"_(\w+)_")

_COVER_WIDTH, _COVER_HEIGHT = 600, 800


def make_book(text: str, destination: Path) -> None:
    """Write the EPUB of a plain text in the form of the one that is fetched."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    write_epub(Book(TITLE, AUTHOR, "en", cover(), list(pages(text))), destination)


def pages(text: str) -> Iterator[Page]:
    """Yield the title page and the chapters."""
    text = text.rstrip("\x1a\n") + "\n"
    headings = list(_CHAPTER.finditer(text))
    front = "\n".join(f"<p>{_typeset(line.strip())}</p>" for line in text[: headings[0].start()].splitlines() if line)
    yield Page(TITLE, front)
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        number, name = heading["number"], _typeset(heading["name"].strip())
        body = "\n".join(_blocks(text[heading.end() : end]))
        yield Page(f"Chapter {number}. {unescape(name)}", f"<h1>Chapter {number}<br/>{name}</h1>\n{body}")


def _blocks(text: str) -> Iterator[str]:
    for block in _PARAGRAPH_BREAK.split(text.strip("\n")):
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        if _STARS.fullmatch(block):
            yield "<hr/>"
        elif min(len(line) - len(line.lstrip()) for line in lines) >= _VERSE_COLUMNS:
            yield '<p class="verse">{}</p>'.format("<br/>\n".join(_typeset(line.strip()) for line in lines))
        else:
            yield f"<p>{_typeset(chr(10).join(line.strip() for line in lines))}</p>"


def _typeset(text: str) -> str:
    """Return plain text as XHTML, with the quotation marks, dashes and emphasis that ASCII stands for."""
    text = escape(text).replace("`", "\u2018").replace("'", "\u2019").replace("--", "\u2014")
    text = _OPENING.sub("\u201c", text).replace('"', "\u201d")
    return _EMPHASIS.sub(r"<em>\1</em>", text)


def cover() -> bytes:
    """Return a plain cover as PNG: a light frame on blue."""
    blue, light = b"\x24\x3b\x6b", b"\xe8\xdf\xc8"
    frame = range(30, 36)
    rows = []
    for y in range(_COVER_HEIGHT):
        is_bar = y in frame or _COVER_HEIGHT - 1 - y in frame
        inside = (light if is_bar else blue) * (_COVER_WIDTH - 2 * frame.stop)
        edge = blue * frame.start + light * len(frame)
        rows.append(b"\x00" + edge + inside + light * len(frame) + blue * frame.start)
    header = struct.pack(">IIBBBBB", _COVER_WIDTH, _COVER_HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def main() -> None:
    """Fetch the text and write the EPUB that the command line names."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/make_book.py FILE.epub")
    destination = Path(sys.argv[1])
    if importlib.util.find_spec("pip") is None:  # uv takes it out of the environment when it installs the rest
        subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        fetch_book(Path(folder) / "book.txt")
        make_book((Path(folder) / "book.txt").read_text("ascii"), destination)
    sys.stdout.write(f"{destination}\n")


if __name__ == "__main__":
    main()
