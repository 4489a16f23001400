"""Whether a result can be written to a path; asked before any work is done for it.

Knows nothing of narrations.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from producer.contract.errors import OutputPathError


def check_output_path(path: Path) -> None:
    """Refuse a path that a finished file could not be moved to.

    A symbolic link is refused because the move would replace the link, and not what it points to.

    Raises:
        OutputPathError: it is a folder, a link or a device, or its folder is missing or cannot be written to.
    """
    name = str(path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise OutputPathError(name, getattr(error, "strerror", None) or str(error)) from None
    if mode is not None:
        if stat.S_ISLNK(mode):
            raise OutputPathError(name, "it is a symbolic link")
        if stat.S_ISDIR(mode):
            raise OutputPathError(name, "it is a folder")
        if not stat.S_ISREG(mode):
            raise OutputPathError(name, "it is not a regular file")
        if not os.access(path, os.W_OK):
            raise OutputPathError(name, "the file there may not be overwritten")
    check_output_folder(path.parent, name)


def check_output_folder(folder: Path, name: str | None = None) -> None:
    """Refuse a folder that no file can be made in, by making one.

    Args:
        folder: must exist.
        name: what to call the place in the error; None: the folder itself.

    Raises:
        OutputPathError: it is missing, no folder, or cannot be written to.
    """
    name = name or str(folder)
    if not folder.is_dir():
        raise OutputPathError(name, f"there is no folder {str(folder)!r}")
    try:
        # Permissions do not tell: root may write anywhere and still not to a read-only disk or to /proc.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".chatterqueue-"):
            pass
    except OSError as error:
        raise OutputPathError(name, f"the folder cannot be written to: {error.strerror}") from None
