"""A folder of files that can be had again: what was not used for the longest time goes when there is too much.

Knows nothing of what is in the files. Several processes may share a folder; a file that another one has removed
meanwhile is no fault.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

#: How a file's name begins while it is written.
_UNFINISHED: Final = ".unfinished-"
#: Seconds after which an unfinished file belongs to a process that was ended.
_ABANDONED_S: Final = 3_600.0


class DiskCache:
    """Files of one kind in one folder."""

    def __init__(self, folder: Path, *, suffix: str, max_bytes: int) -> None:
        """Take a folder, which need not be there.

        Args:
            folder: where the files are.
            suffix: how their names end, dot included.
            max_bytes: what they may take up; the newest one stays in any case.
        """
        self._folder = folder
        self._suffix = suffix
        self._max_bytes = max_bytes

    def path(self, name: str) -> Path:
        """Return where a file is, or would be."""
        return self._folder / f"{name}{self._suffix}"

    def touch(self, path: Path) -> bool:
        """Note that a file is used now; return whether it is there."""
        try:
            os.utime(path)
        except OSError:
            return path.is_file()  # that of somebody else can be used, and not be touched
        return True

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """Give a name to write to; what is there at the end appears as `path`, whole, and what does not fit goes.

        Raises:
            OSError: the disk cannot take it; nothing is left behind.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=_UNFINISHED, suffix=self._suffix)
        os.close(handle)
        unfinished = Path(name)
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        self._shrink(keep=path)

    def _shrink(self, keep: Path) -> None:
        num_bytes = 0
        for path, num_file_bytes, used_at in sorted(self._files(), key=lambda file: file[2], reverse=True):
            is_unfinished = path.name.startswith(_UNFINISHED)
            num_bytes += num_file_bytes
            is_kept = used_at > time.time() - _ABANDONED_S if is_unfinished else num_bytes <= self._max_bytes
            if not is_kept and path != keep:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    logger.info("cached_file_dropped", extra={"file": path.name})

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        """Yield each file with its size in bytes and the time when it was last used, as seconds since 1970."""
        for path in self._folder.glob(f"*{self._suffix}"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                yield path, stat.st_size, stat.st_mtime
