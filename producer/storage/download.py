"""A stream written to a file that is either whole or not there. Knows nothing of where the stream comes from."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from producer.contract.errors import OutputPathError

#: Bytes that are read and written at a time.
CHUNK_BYTES: Final = 1024 * 1024


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, num_bytes: int, /) -> bytes:
        """Return up to that many bytes; none at the end."""
        ...


def check_output_path(path: Path) -> None:
    """Say no to a path that a file cannot be written to.

    Raises:
        OutputPathError: it is a folder or a link, or its folder is missing or not writable.
    """
    if path.is_symlink():
        raise OutputPathError(str(path), "it is a symbolic link, and its target would be overwritten")
    if path.is_dir():
        raise OutputPathError(str(path), "it is a folder")
    if path.exists() and not path.is_file():
        raise OutputPathError(str(path), "it is no regular file")
    if not path.parent.is_dir():
        raise OutputPathError(str(path), "its folder is not there")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputPathError(str(path), "its folder is not writable")


def save_stream(open_stream: Callable[[], Readable], path: Path) -> None:
    """Read a stream to its end into a file beside `path`, then rename it.

    Raises:
        OutputPathError: the file cannot be written; `path` is as it was.
    """
    check_output_path(path)
    stream = open_stream()
    # A short name of its own: the target's name with something added could be too long for the file system.
    partial = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        with partial.open("xb") as file:
            while chunk := stream.read(CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputPathError(str(path), error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
