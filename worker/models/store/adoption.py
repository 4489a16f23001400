"""Locks files that somebody else put into the folder, as they are. No network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from producer.contract.narration import ModelName
from worker.errors import WeightsLockError, WeightsMissingError
from worker.models.store.catalog import converted_name, files_of_all, is_pickled, required_files_of
from worker.models.store.conversion import CONVERTED_FORMAT
from worker.models.store.lock import LOCK_NAME, DerivedEntry, FileEntry, Lock, guard, write_lock
from worker.models.store.staging import Report, writing_errors
from worker.models.store.tensors import convert_checked


def lock_as_is(model_dir: Path, models: tuple[ModelName, ...], *, report: Report = lambda line: None) -> Lock:
    """Lock files that somebody else put into the folder: convert, hash, write the lock. No network.

    Raises:
        WeightsLockError: if there is a lock already: locking over damage would make it good.
        WeightsMissingError: if a model is not whole.
        UnsafeCheckpointError: if a `.pt` file holds more than tensors.
        ModelLoadError: if the folder cannot be written to.
    """
    required = {name for model in models for name in required_files_of(model)}
    if missing := sorted(name for name in required if not (model_dir / name).is_file()):
        raise WeightsMissingError(f"{model_dir} lacks {', '.join(missing)}")
    names = [name for name in files_of_all(models) if (model_dir / name).is_file()]
    with writing_errors(model_dir), guard(model_dir):
        if (model_dir / LOCK_NAME).exists():
            raise WeightsLockError(f"{model_dir} has a {LOCK_NAME} already; delete it if its files are to be replaced")
        files, converted = {}, {}
        for name in names:
            files[name] = FileEntry.of(model_dir / name)
            if is_pickled(name):
                target = model_dir / converted_name(name)
                report(f"converting {name}")
                convert_checked(model_dir / name, target, files[name].sha256)
                converted[target.name] = DerivedEntry.made_from(name, files[name].sha256, target, form=CONVERTED_FORMAT)
        lock = Lock(locked_at=datetime.now(UTC), files=files, converted=converted)
        write_lock(model_dir, lock)
        return lock
