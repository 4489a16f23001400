"""A file, read as what it is: EPUB, Markdown or plain text. Knows nothing of how each is read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from producer.contract.errors import UnreadableInputError
from producer.contract.narration import MAX_TEXT_CHARS
from producer.documents.document import Document
from producer.documents.plaintext import read_plain_text
from producer.documents.refusal import RefusedError
from producer.textfile import MAX_TEXT_BYTES, STANDARD_INPUT, decode_text, read_bytes

#: Bytes of an EPUB; those of the largest picture books, so that nothing is read that can only be something else.
MAX_EPUB_BYTES: Final = 512_000_000
#: Of one that comes through a pipe, and so into memory.
MAX_PIPED_BYTES: Final = 64_000_000

_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_EPUB_SUFFIX: Final = ".epub"
_MARKDOWN_SUFFIXES: Final = frozenset({".md", ".markdown", ".mdown", ".mkd"})


def read_document(path: str | Path) -> Document:
    """Return the document in a file, or on standard input for `-`.

    What begins as a zip archive is read as an EPUB, what ends in `.md` as Markdown, the rest as plain text. That may be
    empty: whether there is anything to say in it is for the narration to judge.

    Raises:
        UnreadableInputError: it is not there, or cannot be read; its code and sentence say why.
    """
    name = str(path)
    is_piped = _is_piped(path)
    head = read_bytes(path, MAX_PIPED_BYTES if is_piped else len(_ZIP_MAGIC[0]))
    if head.startswith(_ZIP_MAGIC) or Path(name).suffix.lower() == _EPUB_SUFFIX:
        with _named(name), nullcontext(io.BytesIO(head)) if is_piped else Path(path).open("rb") as file:
            return _read_epub(file, MAX_PIPED_BYTES if is_piped else MAX_EPUB_BYTES)
    data = head if is_piped else read_bytes(path, MAX_TEXT_BYTES)
    if len(data) > MAX_TEXT_BYTES:
        reason = f"is larger than {MAX_TEXT_BYTES} bytes; split it into several narrations"
        raise UnreadableInputError(name, "text_too_long", reason)
    text = decode_text(data, name)
    if len(text) > MAX_TEXT_CHARS:
        reason = f"has {len(text)} characters, at most {MAX_TEXT_CHARS} fit; split it into several narrations"
        raise UnreadableInputError(name, "text_too_long", reason)
    with _named(name):
        return _read_text(text, "standard input" if name == STANDARD_INPUT else Path(name).name)


def _is_piped(path: str | Path) -> bool:
    """Say whether a file can be read only once, as standard input and what `<(...)` of a shell makes."""
    return str(path) == STANDARD_INPUT or (Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir())


def _read_epub(file: BinaryIO, max_bytes: int) -> Document:
    from producer.documents.epub import read_epub  # what only a book needs

    if file.seek(0, io.SEEK_END) > max_bytes:
        raise RefusedError("epub_too_large", f"is larger than {max_bytes} bytes")
    file.seek(0)
    return read_epub(file)


def _read_text(text: str, name: str) -> Document:
    if Path(name).suffix.lower() in _MARKDOWN_SUFFIXES:
        from producer.documents.markdown import read_markdown  # what only Markdown needs

        return read_markdown(text, name)
    return read_plain_text(text, name, Path(name).stem)


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        raise UnreadableInputError(name, error.code, error.reason) from None
