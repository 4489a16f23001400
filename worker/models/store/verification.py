"""Compares the files of a folder with its lock, and names each one that differs.

Needs no network. Knows how files differ, not what a model needs (`catalog`) or how to get it (`fetching`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from worker.errors import WeightsDamagedError
from worker.models.store.hashing import sha256_of_all
from worker.models.store.lock import DerivedEntry, FileEntry, Lock

_STAMPS_NAME: Final = ".models.stamps.json"
_Stamp = list[int | str]


class Verification(StrEnum):
    """How a start checks the files that it is about to read."""

    FULL = "full"  #: hash every byte: about a second for each 1.2 GB and core
    STAMP = "stamp"  #: hash once, then trust size, inode and times of change; does not find a rotting disk


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that is not what the lock says."""

    file: str
    #: `missing`, `size`, `content`, `swapped`, `unreadable` or `stale`.
    code: str
    message: str


def locked_files(lock: Lock) -> dict[str, FileEntry]:
    """Return everything that a lock names: files, converted and prequantized ones."""
    return {**lock.files, **lock.converted, **lock.prequantized}


def find_problems(
    model_dir: Path, lock: Lock, names: Iterable[str] | None = None, *, verification: Verification = Verification.FULL
) -> list[Problem]:
    """Return what is wrong with some files, or with all that the lock names."""
    entries = locked_files(lock)
    chosen = {name: entries[name] for name in (entries if names is None else names)}
    problems = [problem for name, entry in chosen.items() for problem in _at_a_glance(model_dir, name, entry, lock)]
    suspects = {problem.file for problem in problems}
    to_hash = {name: entry for name, entry in chosen.items() if name not in suspects}
    if verification is Verification.STAMP:
        return [*problems, *_unless_stamped(model_dir, to_hash, entries)]
    return [*problems, *_by_content(model_dir, to_hash, entries)]


def require(
    model_dir: Path, lock: Lock, names: Iterable[str], *, verification: Verification = Verification.FULL
) -> None:
    """Make sure that some files are what the lock says.

    Raises:
        WeightsDamagedError: naming each one that is not.
    """
    if problems := find_problems(model_dir, lock, names, verification=verification):
        raise WeightsDamagedError(str(model_dir), [asdict(problem) for problem in problems])


def _at_a_glance(model_dir: Path, name: str, entry: FileEntry, lock: Lock) -> list[Problem]:
    """Return what shows without reading a byte."""
    path = model_dir / name
    if not path.is_file():
        return [Problem(name, "missing", "is not there")]
    size_bytes = path.stat().st_size
    if size_bytes != entry.size_bytes:
        kind = "is cut short" if size_bytes < entry.size_bytes else "is too long"
        return [Problem(name, "size", f"{kind}: {size_bytes:,} bytes, and the lock says {entry.size_bytes:,}")]
    if isinstance(entry, DerivedEntry):
        # The lock of a cache folder names no sources: there the file's own name carries the source's hash.
        source = lock.files.get(entry.source)
        if source is not None and source.sha256 != entry.source_sha256:
            return [Problem(name, "stale", f"was made from another {entry.source}")]
    return []


def _by_content(model_dir: Path, to_hash: Mapping[str, FileEntry], entries: Mapping[str, FileEntry]) -> list[Problem]:
    """Return which files hold other bytes than they should."""
    owners = {entry.sha256: name for name, entry in entries.items()}
    try:
        hashes = sha256_of_all(model_dir / name for name in to_hash)
    except OSError as error:
        name = Path(str(error.filename)).name if error.filename else "a file"
        return [Problem(name, "unreadable", f"cannot be read: {error.strerror}")]
    problems = []
    for name, entry in to_hash.items():
        found = hashes[model_dir / name]
        if found == entry.sha256:
            continue
        if owner := owners.get(found):
            problems.append(Problem(name, "swapped", f"holds the content of {owner}"))
        else:
            message = f"was changed: its SHA-256 is {found[:16]}..., and the lock says {entry.sha256[:16]}..."
            problems.append(Problem(name, "content", message))
    return problems


def _unless_stamped(
    model_dir: Path, to_hash: Mapping[str, FileEntry], entries: Mapping[str, FileEntry]
) -> list[Problem]:
    """Hash what has changed since it was hashed last, and remember what was good."""
    known = _read_stamps(model_dir)
    # Taken before the hashing: a file replaced in between has another stamp at the next start.
    stamps = {name: _stamp(model_dir / name, entry) for name, entry in to_hash.items()}
    changed = {name: to_hash[name] for name, stamp in stamps.items() if known.get(name) != stamp}
    problems = _by_content(model_dir, changed, entries)
    if changed and not problems:
        _write_stamps(model_dir, known | {name: stamps[name] for name in changed})
    return problems


def _stamp(path: Path, entry: FileEntry) -> _Stamp:
    """Return what changes when a file is written to or replaced; no program can set ctime back."""
    facts = path.stat()
    return [entry.sha256, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev]


def _read_stamps(model_dir: Path) -> dict[str, _Stamp]:
    try:
        stamps = json.loads((model_dir / _STAMPS_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _write_stamps(model_dir: Path, stamps: Mapping[str, _Stamp]) -> None:
    """Keep the stamps for the next start; in a read-only folder every start hashes."""
    path = model_dir / _STAMPS_NAME
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(stamps), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
