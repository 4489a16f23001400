"""The small checkpoints of both models as a worker finds them: locked, and every `.pt` file converted and gone.

Made once and kept beside `small_checkpoint.cached_checkpoint`, of whose files it holds links; read-only for tests.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from small_checkpoint import BOTH, cached_checkpoint

from producer.contract.narration import ModelName
from worker.models.weights import lock_as_is


def locked_checkpoint() -> Path:
    """Return the folder, after making it if it is not there."""
    source = cached_checkpoint(BOTH)
    directory = source.with_name(source.name.replace("checkpoint-both", "locked-both"))
    if directory.exists():
        return directory
    building = Path(tempfile.mkdtemp(dir=source.parent, prefix="building-"))
    for path in source.iterdir():
        os.link(path, building / path.name)
    lock_as_is(building, (ModelName.ENGLISH, ModelName.MULTILINGUAL))
    for path in building.glob("*.pt"):
        path.unlink()
    try:
        building.rename(directory)
    except OSError:  # another process was faster
        shutil.rmtree(building, ignore_errors=True)
    return directory


def linked(source: Path, folder: Path) -> Path:
    """Fill a folder with links to the files of another one, so that a test can replace some of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.name != ".models.guard":
            (folder / path.name).symlink_to(path)
    return folder


def replaced(path: Path) -> Path:
    """Return a path whose link is gone, so that writing there does not reach the file behind it."""
    path.unlink()
    return path


def flip_a_byte(path: Path) -> None:
    """Replace a link by a copy of its file with one byte changed, half-way."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    replaced(path).write_bytes(content)
