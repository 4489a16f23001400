"""A temporary file that is filled once and read once. Knows nothing of what is in it.

It has no name: whatever happens to the process, the room it takes is free again when it is gone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from typing import Final

from worker.errors import SpoolSpaceError

#: Bytes left free for everybody else on the disk.
_RESERVE_BYTES: Final = 64 * 1024 * 1024
#: Bytes of one read: what the upload sends is put together from eight of them.
_BLOCK_BYTES: Final = 1024 * 1024


class Spool:
    """Bytes on the disk of this machine, in `TMPDIR`."""

    def __init__(self, expected_bytes: int) -> None:
        """Open the file.

        Raises:
            SpoolSpaceError: the disk has less room than `expected_bytes` and a reserve, or takes no file.
        """
        self._expected_bytes = expected_bytes
        self._num_bytes = 0
        try:
            self._folder = tempfile.gettempdir()
            free_bytes = shutil.disk_usage(self._folder).free
            if free_bytes < expected_bytes + _RESERVE_BYTES:
                raise SpoolSpaceError(self._folder, expected_bytes + _RESERVE_BYTES, free_bytes)
            self._file = tempfile.TemporaryFile(prefix="chatterqueue-", buffering=_BLOCK_BYTES)  # noqa: SIM115
        except OSError as error:
            raise SpoolSpaceError("TMPDIR", expected_bytes, error.strerror or str(error)) from error

    def write(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            SpoolSpaceError: the disk did not take them.
        """
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failure(error) from error
        self._num_bytes += len(data)

    def blocks(self) -> Iterator[bytes]:
        """Yield all that was written, from the start.

        Raises:
            SpoolSpaceError: the disk did not take the last of it, or gives back less.
        """
        try:
            self._file.seek(0)  # writes what is in the buffer
            left_bytes = self._num_bytes
            while block := self._file.read(_BLOCK_BYTES):
                left_bytes -= len(block)
                yield block
        except OSError as error:
            raise self._failure(error) from error
        if left_bytes:
            raise SpoolSpaceError(self._folder, self._expected_bytes, f"{left_bytes} bytes of it are gone")

    def close(self) -> None:
        """Give the room back; a second call does nothing."""
        try:
            self._file.close()
        except OSError:  # what is in the buffer has no room, and nobody wants it any more
            self._file.close()

    def _failure(self, error: OSError) -> SpoolSpaceError:
        return SpoolSpaceError(self._folder, self._expected_bytes, error.strerror or str(error))
