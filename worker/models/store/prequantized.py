"""Where the quantized T3 lies, and whether it still belongs to its source.

It is a cache: a file that is missing, damaged or made from other weights is not used, and is made again. Knows
nothing of bitsandbytes: whoever quantizes names its format and writes the file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from producer.contract.narration import ModelName
from worker.models.store.catalog import PARTS
from worker.models.store.lock import DerivedEntry, Lock, find_lock, guard, write_lock
from worker.models.store.verification import Verification, find_problems

logger = logging.getLogger(__name__)

_FOLDER: Final = "prequantized"
#: Seconds to wait for another worker of this machine that writes the same lock.
_GUARD_TIMEOUT_S: Final = 60.0


class PrequantizedCache:
    """The quantized T3 of one model, in one format, from one source."""

    def __init__(self, root: Path, model: ModelName, *, source_sha256: str, form: str) -> None:
        self._root = root
        self._model = model
        self._source_sha256 = source_sha256
        self._form = form
        self.name = f"{_FOLDER}/{model}-{source_sha256[:16]}-{form}.safetensors"

    def find(self, *, verification: Verification = Verification.FULL) -> Path | None:
        """Return the file if it is there, whole, and made from this source; None: it has to be made."""
        lock = find_lock(self._root)
        entry = lock.prequantized.get(self.name) if lock else None
        if lock is None or entry is None:
            return None
        if (entry.source_sha256, entry.format) != (self._source_sha256, self._form):
            return None
        if problems := find_problems(self._root, lock, [self.name], verification=verification):
            facts = {"file": self.name, "code": problems[0].code, "reason": problems[0].message}
            logger.warning("prequantized_refused", extra=facts)
            return None
        return self._root / self.name

    def store(self, write: Callable[[Path], None]) -> Path:
        """Let `write` write the file, then put it in place and into the lock; several workers may do so at once.

        Raises:
            FetchBusyError: if a fetch holds the folder.
            OSError: if it cannot be written.
        """
        path = self._root / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            write(fresh)
            entry = DerivedEntry.made_from(PARTS[self._model].t3, self._source_sha256, fresh, form=self._form)
            with guard(self._root, timeout_s=_GUARD_TIMEOUT_S):
                lock = find_lock(self._root) or Lock(locked_at=datetime.now(UTC))
                fresh.replace(path)
                write_lock(self._root, self._with(lock, entry))
        finally:
            fresh.unlink(missing_ok=True)
        return path

    def _with(self, lock: Lock, entry: DerivedEntry) -> Lock:
        """Return the lock with our entry, without those that its own sources have outlived."""
        hashes = {file.sha256 for file in lock.files.values()}
        living = {
            name: known for name, known in lock.prequantized.items() if not hashes or known.source_sha256 in hashes
        }
        return lock.model_copy(update={"prequantized": living | {self.name: entry}})


def cache_root(model_dir: Path, lock: Lock | None, cache_dir: Path) -> Path | None:
    """Return the folder whose lock names the quantized files: the model's own, or else a private one.

    A folder without a lock stays without: a lock with nothing but a cache in it would look like one of a model.
    None: there is no place that nobody else can write to.
    """
    if lock is not None and os.access(model_dir, os.W_OK):
        return model_dir
    root = cache_dir / "models"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = root.stat()
    except OSError as error:
        logger.warning("prequantized_not_kept", extra={"reason": error.strerror})
        return None
    # In a folder that others may write to, as under /tmp, they could plant weights of their own.
    if hasattr(os, "geteuid") and (facts.st_uid != os.geteuid() or facts.st_mode & 0o022):
        logger.warning("prequantized_not_kept", extra={"reason": f"others can write to {root}"})
        return None
    return root
