"""Says what is in a folder of weights, at a glance: nothing is hashed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from worker.models.store.catalog import ALL_MODELS, converted_name, files_of, files_of_all
from worker.models.store.lock import FileEntry, Lock, find_lock
from worker.models.store.verification import locked_files


def inventory(model_dir: Path) -> dict[str, Any]:
    """Return what is in a folder, as plain values: where it came from, its files, which models are complete.

    A file is `present`, `missing`, of another size (`size differs`) or `not locked`; whether its content is right,
    only a verification can say.

    Raises:
        WeightsLockError: if there is a lock that cannot be read.
    """
    lock = find_lock(model_dir)
    known = lock or Lock(locked_at=datetime.now(UTC))
    files = [_facts(model_dir, name, "source", entry) for name, entry in known.files.items()]
    files += [_facts(model_dir, name, "converted", entry) for name, entry in known.converted.items()]
    files += [_facts(model_dir, name, "prequantized", entry) for name, entry in known.prequantized.items()]
    unlocked = [name for name in files_of_all(ALL_MODELS) if name not in known.files and (model_dir / name).is_file()]
    files += [_facts(model_dir, name, "source", None) for name in unlocked]
    return {
        "model_dir": str(model_dir),
        "is_locked": lock is not None,
        "repo": known.repo,
        "revision": known.revision,
        "commit": known.commit,
        "models": _completeness(known, files),
        "files": files,
    }


def _facts(model_dir: Path, name: str, kind: str, entry: FileEntry | None) -> dict[str, Any]:
    path = model_dir / name
    found_bytes = path.stat().st_size if path.is_file() else None
    if found_bytes is None:
        state = "missing"
    elif entry is None:
        state = "not locked"
    else:
        state = "present" if found_bytes == entry.size_bytes else "size differs"
    return {
        "file": name,
        "kind": kind,
        "state": state,
        "size_bytes": entry.size_bytes if entry else found_bytes,
        "sha256": entry.sha256 if entry else None,
    }


def _completeness(lock: Lock, files: list[dict[str, Any]]) -> dict[str, bool]:
    """Return for each model whether it is locked and everything of it is there."""
    absent = {file["file"] for file in files if file["state"] != "present"} & locked_files(lock).keys()
    complete = lock.complete_models()
    return {
        str(model): model in complete
        and not absent & {name for source in files_of(model) for name in (source, converted_name(source))}
        for model in ALL_MODELS
    }
