"""The lock file: which commit the weights came from, and the size and SHA-256 of each file.

Knows how it is written and read, not whether the files are as it says (`verification`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from producer.contract.narration import ModelName
from worker.errors import FetchBusyError, WeightsLockError
from worker.models.store.catalog import ALL_MODELS, converted_name, files_of, is_pickled, required_files_of
from worker.models.store.hashing import sha256_of

LOCK_NAME: Final = "models.lock.json"
_GUARD_NAME: Final = ".models.guard"
#: Raise it when an older version could misread a lock.
LOCK_SCHEMA_VERSION: Final = 1


def _stays_inside(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError("must be a path inside the folder")
    return name


FileName = Annotated[str, AfterValidator(_stays_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(BaseModel):
    """What one file must be."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256

    @classmethod
    def of(cls, path: Path) -> FileEntry:
        """Return the entry of a file as it is now."""
        return cls(size_bytes=path.stat().st_size, sha256=sha256_of(path))


class DerivedEntry(FileEntry):
    """A file that we made from another one; it counts only while the other one is unchanged."""

    source: FileName
    source_sha256: Sha256
    #: Which of our formats it is in.
    format: str

    @classmethod
    def made_from(cls, source: str, source_sha256: str, path: Path, *, form: str) -> DerivedEntry:
        """Return the entry of a file that was made from `source`, as it is now."""
        facts = FileEntry.of(path)
        return cls(
            size_bytes=facts.size_bytes, sha256=facts.sha256, source=source, source_sha256=source_sha256, format=form
        )


class Lock(BaseModel):
    """Everything that the lock file says. Unknown fields are ignored, a newer `schema_version` is refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    #: None: locked as they lay there, not fetched.
    repo: str | None = None
    #: What was asked for: a branch, a tag or a commit.
    revision: str | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    locked_at: datetime
    files: dict[FileName, FileEntry] = {}
    #: Tensors of `.pt` files, as safetensors.
    converted: dict[FileName, DerivedEntry] = {}
    #: T3 in int8, as the worker uses it.
    prequantized: dict[FileName, DerivedEntry] = {}

    def missing_of(self, model: ModelName) -> tuple[str, ...]:
        """Return the files that the model lacks in this lock, converted ones included."""
        absent = [name for name in required_files_of(model) if name not in self.files]
        pickled = [name for name in files_of(model) if is_pickled(name) and name in self.files]
        return (*absent, *(converted_name(name) for name in pickled if not self._has_converted(name)))

    def complete_models(self) -> tuple[ModelName, ...]:
        """Return the models that lack nothing in this lock."""
        return tuple(model for model in ALL_MODELS if not self.missing_of(model))

    def _has_converted(self, source: str) -> bool:
        entry = self.converted.get(converted_name(source))
        return entry is not None and entry.source_sha256 == self.files[source].sha256


def read_lock(model_dir: Path) -> Lock:
    """Return the lock of a folder.

    Raises:
        WeightsLockError: if there is none, or it cannot be read.
    """
    path = model_dir / LOCK_NAME
    try:
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        remedy = "run `chatterqueue models fetch`, or `chatterqueue models lock` for files that you put there yourself"
        raise WeightsLockError(f"there is no {LOCK_NAME} in {model_dir}: {remedy}") from None
    except OSError as error:
        raise WeightsLockError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        remedy = f"this version reads schema_version {LOCK_SCHEMA_VERSION}; `chatterqueue models fetch` writes it anew"
        raise WeightsLockError(f"{path} cannot be used: {where}: {first['msg']}; {remedy}") from None


def find_lock(model_dir: Path) -> Lock | None:
    """Return the lock of a folder, or None if it has none.

    Raises:
        WeightsLockError: if there is one that cannot be read.
    """
    return read_lock(model_dir) if (model_dir / LOCK_NAME).exists() else None


def write_lock(model_dir: Path, lock: Lock) -> None:
    """Replace the lock of a folder, whole or not at all; survives a power cut."""
    path = model_dir / LOCK_NAME
    fresh = path.with_name(f"{LOCK_NAME}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(lock.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def guard(model_dir: Path, *, timeout_s: float = 0.0) -> Iterator[None]:
    """Hold the folder for one process that changes it; ends with the process, however it dies.

    Raises:
        FetchBusyError: if another process holds it for longer than the timeout.
    """
    import filelock  # of the extra `gpu`; a lock is read without it

    try:
        with filelock.FileLock(model_dir / _GUARD_NAME, timeout=timeout_s):
            yield
    except filelock.Timeout:
        raise FetchBusyError(f"another process is changing {model_dir}; try again when it is done") from None
