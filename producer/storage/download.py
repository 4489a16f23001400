"""A stream written to a file that is either whole or not there. Knows nothing of where the stream comes from."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from producer.contract.errors import OutputPathError
from producer.outputfile import check_output_path

#: Bytes that are read and written at a time.
CHUNK_BYTES: Final = 1024 * 1024


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, num_bytes: int, /) -> bytes:
        """Return up to that many bytes; none at the end."""
        ...


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
