"""The folder in which a fetch makes everything ready, and the commit that it has pinned.

It lies inside the model folder, so that putting a file in place is a rename. Knows nothing of the hub.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from worker.errors import DiskSpaceError, ModelLoadError

COMMIT: Final = re.compile(r"[0-9a-f]{40}")
#: Left free on the disk beside what is fetched.
_SPACE_MARGIN_BYTES: Final = 64 << 20

#: Takes one line for whoever watches.
Report = Callable[[str], None]


class Staging:
    """Files of one commit that are not yet in use."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._folder = model_dir / ".fetch"
        self._pin_path = self._folder / "pin.json"
        self._commit = ""

    def begun(self, repo: str, revision: str) -> str | None:
        """Return the commit that an earlier fetch of the same revision had pinned when it broke off."""
        try:
            pin = json.loads(self._pin_path.read_bytes())
        except (OSError, ValueError):
            return None
        is_same = isinstance(pin, dict) and (pin.get("repo"), pin.get("revision")) == (repo, revision)
        return pin["commit"] if is_same and COMMIT.fullmatch(str(pin.get("commit"))) else None

    def pin(self, repo: str, revision: str, commit: str) -> None:
        """Work on this commit from now on, and after a crash; drop what is there of others."""
        (self._folder / commit).mkdir(parents=True, exist_ok=True)
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name != commit:
                shutil.rmtree(folder)
        content = {"repo": repo, "revision": revision, "commit": commit}
        self._pin_path.write_text(json.dumps(content), encoding="utf-8")
        self._commit = commit

    def path(self, name: str) -> Path:
        """Return where a file of the pinned commit is made ready."""
        return self._folder / self._commit / name

    def newest(self, name: str) -> Path:
        """Return where a file is now: staged, or else in place."""
        return self.path(name) if self.path(name).exists() else self._model_dir / name

    def part_bytes(self, name: str) -> int:
        """Return how much of a file has come already."""
        part = self.path(f"{name}.part")
        return part.stat().st_size if part.exists() else 0

    def require_space(self, needed_bytes: int) -> None:
        """Make sure that the disk has room.

        Raises:
            DiskSpaceError: if it has not.
        """
        free_bytes = shutil.disk_usage(self._model_dir).free
        if needed_bytes + _SPACE_MARGIN_BYTES > free_bytes:
            raise DiskSpaceError(
                f"{self._model_dir} needs {mib(needed_bytes + _SPACE_MARGIN_BYTES)} and the disk has {mib(free_bytes)} "
                "free; nothing was fetched: make room, or choose another folder with --dir"
            )

    def put_in_place(self, name: str) -> None:
        """Move a staged file to where it is used; does nothing for one that is there already."""
        if self.path(name).exists():
            self.path(name).replace(self._model_dir / name)

    def clear(self) -> None:
        """Forget the pin and everything that is staged."""
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def writing_errors(model_dir: Path) -> Iterator[None]:
    """Name what keeps us from writing.

    Raises:
        DiskSpaceError: if the disk became full.
        ModelLoadError: for any other reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            kept = "what came so far is kept: make room and run the same command again"
            raise DiskSpaceError(f"the disk of {model_dir} is full; {kept}") from error
        raise ModelLoadError(f"{model_dir} cannot be used: {error.strerror or error}; choose another --dir") from error


def mib(size_bytes: int) -> str:
    """Return a size for people."""
    return f"{size_bytes / (1 << 20):,.1f} MiB"
