"""The zip archive of an EPUB, read one file at a time and within limits. Knows nothing of books.

Nothing is unpacked to disk. What the directory promises is checked before anything is read, and zipfile never returns
more of a file than its directory entry says, so these limits hold for archives that lie about themselves too.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from producer.documents.refusal import RefusedError

#: Entries of the archive. The longest illustrated books have some thousands.
MAX_FILES: Final = 10_000
#: Bytes that the directory of the archive may have: 200 for each of `MAX_FILES`. zipfile reads it in one piece.
MAX_DIRECTORY_BYTES: Final = 2_000_000
#: Bytes of one file, and of all that are read. A book of 2,000,000 characters has about 5 MB of markup.
MAX_FILE_BYTES: Final = 16_000_000
MAX_TOTAL_BYTES: Final = 64_000_000
#: Unpacked bytes for each packed one. Markup packs to a fifth, at best a twentieth; a bomb to a thousandth.
MAX_RATIO: Final = 100
#: Below this nothing is a bomb, and a page of equal lines may pack as well as it likes.
_MIN_BOMB_BYTES: Final = 1_000_000

_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED_FLAG: Final = 0x1
#: A path that leads out of the archive: absolute, with a drive, or upwards.
_OUTSIDE: Final = re.compile(r"/|[A-Za-z]:|(?:.*/)?\.\.(?:/|$)")

#: What zipfile raises for archives that are cut, changed or made to break it.
_BROKEN: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class _SmallReads:
    """A file that refuses to be read in large pieces, as the directory of an archive is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= MAX_DIRECTORY_BYTES else MAX_DIRECTORY_BYTES + 1)
        if len(data) > MAX_DIRECTORY_BYTES:
            raise RefusedError("epub_too_large", f"has a directory of more than {MAX_DIRECTORY_BYTES} bytes")
        return data


class Archive:
    """The files of an EPUB by their paths."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the directory of an archive.

        Args:
            file: open for reading; it stays open.

        Raises:
            RefusedError: with the code `epub_broken`, `epub_too_large`, `epub_bomb` or `epub_path`.
        """
        with _named_faults("its directory"):
            self._zip = zipfile.ZipFile(_SmallReads(file))
            size_bytes = file.seek(0, 2)
        infos = self._zip.infolist()
        if len(infos) > MAX_FILES:
            raise RefusedError("epub_too_large", f"holds {len(infos)} files, more than the {MAX_FILES} of any book")
        _check_ratio("the archive", sum(info.file_size for info in infos), size_bytes)
        for info in infos:
            if _OUTSIDE.match(_slashes(info.filename)):
                raise RefusedError("epub_path", f"holds a file whose path leads out of it: {info.filename[:200]!r}")
        self._infos = {_slashes(info.filename): info for info in infos}
        self._by_lower_case = {name.lower(): name for name in self._infos}
        self._left_bytes = MAX_TOTAL_BYTES

    def find(self, path: str) -> str | None:
        """Return the path as the archive has it; books made on Windows may differ in case."""
        return path if path in self._infos else self._by_lower_case.get(path.lower())

    def read(self, path: str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return one file.

        Raises:
            RefusedError: `epub_file_missing`, `epub_encrypted`, `epub_broken`, `epub_bomb` or `epub_too_large`.
        """
        name = self.find(path)
        if name is None:
            raise RefusedError("epub_file_missing", f"names a file that it does not hold: {path[:200]!r}")
        info = self._infos[name]
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise RefusedError("epub_encrypted", f"is locked with a password: {name[:200]!r} cannot be read")
        if info.compress_type not in _METHODS:
            raise RefusedError("epub_broken", f"is packed in a way that no EPUB may be: {name[:200]!r}")
        if info.file_size > min(max_bytes, self._left_bytes):
            raise RefusedError("epub_too_large", f"holds too much text: {name[:200]!r} has {info.file_size} bytes")
        _check_ratio(repr(name[:200]), info.file_size, info.compress_size)
        with _named_faults(repr(name[:200])), self._zip.open(info) as stream:
            data = stream.read(max_bytes)
        self._left_bytes -= len(data)
        return data


def resolve(base: str, reference: str) -> str:
    """Return the path that a reference in a file of the archive leads to; without a fragment, percent codes decoded.

    Raises:
        RefusedError: `epub_path`, if it leads out of the archive.
    """
    from urllib.parse import unquote  # 5 ms that only an EPUB costs

    path = _slashes(unquote(reference.partition("#")[0]))
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), path)) if path else base
    if _OUTSIDE.match(joined) or re.match(r"[A-Za-z][\w+.-]*:", path):
        raise RefusedError("epub_path", f"refers to something outside of itself: {reference[:200]!r}")
    return joined


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def _check_ratio(name: str, size_bytes: int, packed_bytes: int) -> None:
    if size_bytes > _MIN_BOMB_BYTES and size_bytes > MAX_RATIO * packed_bytes:
        raise RefusedError(
            "epub_bomb", f"is a zip bomb: {name} unpacks from {packed_bytes} bytes to {size_bytes}; no book does"
        )


@contextmanager
def _named_faults(name: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN:
        raise RefusedError("epub_broken", f"is damaged: {name} cannot be unpacked; fetch the book again") from None
