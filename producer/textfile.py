"""Reading a text to narrate from a file or from standard input, and refusing what is no text.

Knows nothing of narrations beyond how long one may be.
"""

from __future__ import annotations

import codecs
import re
import sys
from pathlib import Path
from typing import Final

from producer.contract.errors import UnreadableInputError
from producer.contract.narration import MAX_TEXT_CHARS

#: The name that stands for standard input on the command line.
STANDARD_INPUT: Final = "-"

#: A character of UTF-8 takes at most four bytes; three more for the byte order mark.
MAX_TEXT_BYTES: Final = 4 * MAX_TEXT_CHARS + 3

#: How the kinds of files begin that people take for text. Long enough that no sentence begins the same way.
_MAGIC: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"PK\x03\x04.{26}mimetypeapplication/epub", "an EPUB book; let its name end in .epub"),
        (rb"PK\x03\x04|PK\x05\x06", "a zip archive (or an EPUB, DOCX or ODT file); export it as plain text first"),
        (rb"%PDF-", "a PDF; export it as plain text first"),
        (rb"\xd0\xcf\x11\xe0", "an old Office document; export it as plain text first"),
        (rb"\{\\rtf", "an RTF document; export it as plain text first"),
        (rb".{60}BOOKMOBI", "a Kindle book; export it as plain text first"),
        (rb"\x1f\x8b", "gzip data; unpack it first"),
        (rb"BZh[1-9]1AY&SY", "bzip2 data; unpack it first"),
        (rb"\xfd7zXZ\x00|7z\xbc\xaf\x27\x1c|\x28\xb5\x2f\xfd|Rar!\x1a\x07", "an archive; unpack it first"),
        (rb"RIFF.{4}WAVE|ID3[\x02-\x04]|\xff[\xfb\xf3\xf2]|fLaC\x00|OggS\x00|.{4}ftyp", "audio or video, not text"),
        (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a", "an image, not text"),
        (rb"\x7fELF|MZ\x90\x00", "a program, not text"),
    )
)

_OTHER_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file, or of standard input for `-`, without a byte order mark.

    Raises:
        UnreadableInputError: with the code `file_missing`, `file_unreadable`, `text_too_long`, `text_binary`
            or `text_encoding`.
    """
    data = read_bytes(path, MAX_TEXT_BYTES)
    if len(data) > MAX_TEXT_BYTES:
        reason = f"is larger than {MAX_TEXT_BYTES} bytes; split it into several narrations"
        raise UnreadableInputError(str(path), "text_too_long", reason)
    return decode_text(data, str(path))


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """Return what a file or standard input holds; of one that is larger than `max_bytes`, a byte more than that.

    Raises:
        UnreadableInputError: with the code `file_missing` or `file_unreadable`.
    """
    name = str(path)
    try:
        if name == STANDARD_INPUT:
            return sys.stdin.buffer.read(max_bytes + 1)
        with Path(path).open("rb") as file:
            return file.read(max_bytes + 1)
    except FileNotFoundError:
        raise UnreadableInputError(name, "file_missing", "there is no such file") from None
    except IsADirectoryError:
        raise UnreadableInputError(name, "file_unreadable", "is a folder, not a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableInputError(name, "file_unreadable", f"cannot be read: {reason}") from None


def decode_text(data: bytes, name: str) -> str:
    """Return bytes as text.

    Args:
        data: the content of a file.
        name: what to call the file in an error.

    Raises:
        UnreadableInputError: with the code `text_binary` or `text_encoding`; the latter names the first bad byte.
    """
    for magic, kind in _MAGIC:
        if magic.match(data):
            raise UnreadableInputError(name, "text_binary", f"is {kind}")
    for mark, encoding in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise UnreadableInputError(name, "text_encoding", f"is {encoding}; save it as UTF-8")
    body = data.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        offset = len(data) - len(body) + error.start
        line = body.count(b"\n", 0, error.start) + 1
        raise UnreadableInputError(
            name,
            "text_encoding",
            f"is not UTF-8: byte {offset} (line {line}) is 0x{body[error.start]:02x}; save it as UTF-8",
        ) from None
