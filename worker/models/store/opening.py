"""Opens the weights of one model for a start: checks what will be read, and says where it lies. No network.

Knows nothing of torch; the tensors are read by `tensors`.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from producer.contract.narration import ModelName
from worker.errors import WeightsLockError, WeightsMissingError
from worker.models.store.catalog import PARTS, converted_name, files_of, is_pickled, required_files_of
from worker.models.store.hashing import sha256_of
from worker.models.store.lock import Lock, find_lock
from worker.models.store.prequantized import PrequantizedCache, cache_root
from worker.models.store.verification import Verification, require

logger = logging.getLogger(__name__)

_DEFAULT_CACHE_DIR = Path(tempfile.gettempdir()) / "chatterqueue-cache"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The checked files of one model. A `.pt` file is given as its converted copy if the folder has a lock."""

    model: ModelName
    #: The commit they came from; None: the folder has no lock, or was locked as it lay there.
    commit: str | None
    t3: Path
    s3gen: Path
    voice_encoder: Path
    tokenizer: Path
    #: The built-in voice.
    conditionals: Path | None
    #: The table for Chinese; only the multilingual model has one.
    cangjie: Path | None
    #: The quantized T3, checked; None: it was not asked for, or has to be made from `t3`.
    prequantized: Path | None = None
    #: Where to put a quantized T3; None: it was not asked for, or there is no safe place.
    cache: PrequantizedCache | None = None


def open_model(
    model_dir: Path,
    model: ModelName,
    *,
    prequantized_format: str | None = None,
    verification: Verification = Verification.FULL,
    cache_dir: Path = _DEFAULT_CACHE_DIR,
    is_lock_required: bool = False,
) -> ModelFiles:
    """Check the files of a model that a start will read, and return where they are.

    With `prequantized_format` and a quantized T3 of that format in the cache, T3's own file is not read.

    Raises:
        WeightsLockError: if the lock cannot be read, or there is none and one is required.
        WeightsMissingError: if a file is not there, or was never locked.
        WeightsDamagedError: naming each file that is not what the lock says.
    """
    model = ModelName(model)
    lock = find_lock(model_dir)
    if lock is None:
        return _open_unlocked(model_dir, model, prequantized_format, cache_dir, is_lock_required=is_lock_required)
    if missing := lock.missing_of(model):
        remedy = "run `chatterqueue models fetch`"
        raise WeightsMissingError(f"the lock in {model_dir} lacks {', '.join(missing)} of the {model} model; {remedy}")
    cache = prequantized = None
    t3_name = PARTS[model].t3
    if prequantized_format and (root := cache_root(model_dir, lock, cache_dir)):
        cache = PrequantizedCache(root, model, source_sha256=lock.files[t3_name].sha256, form=prequantized_format)
        prequantized = cache.find(verification=verification)
    names = [name for name in files_of(model) if name in lock.files]
    read = [converted_name(name) if is_pickled(name) else name for name in names]
    if prequantized is not None:
        read.remove(t3_name)
    require(model_dir, lock, read, verification=verification)
    return _model_files(model_dir, model, lock, prequantized, cache)


def _open_unlocked(
    model_dir: Path, model: ModelName, prequantized_format: str | None, cache_dir: Path, *, is_lock_required: bool
) -> ModelFiles:
    """Return the files of a folder that nobody has locked: they are there, and that is all we know."""
    if missing := [name for name in required_files_of(model) if not (model_dir / name).is_file()]:
        raise WeightsMissingError(f"{model_dir} lacks {', '.join(missing)} of the {model} model")
    remedy = "run `chatterqueue models lock` there"
    if is_lock_required:
        raise WeightsLockError(f"{model_dir} has no lock, so its files cannot be checked; {remedy}")
    logger.warning("weights_not_locked", extra={"model": str(model), "remedy": remedy})
    cache = prequantized = None
    if prequantized_format and (root := cache_root(model_dir, None, cache_dir)):
        source_sha256 = sha256_of(model_dir / PARTS[model].t3)
        cache = PrequantizedCache(root, model, source_sha256=source_sha256, form=prequantized_format)
        prequantized = cache.find()
    return _model_files(model_dir, model, None, prequantized, cache)


def _model_files(
    model_dir: Path, model: ModelName, lock: Lock | None, prequantized: Path | None, cache: PrequantizedCache | None
) -> ModelFiles:
    def place(name: str) -> Path:
        return model_dir / (converted_name(name) if lock and is_pickled(name) else name)

    def place_if_there(name: str | None) -> Path | None:
        is_there = name is not None and (name in lock.files if lock else (model_dir / name).is_file())
        return place(name) if name is not None and is_there else None

    parts = PARTS[model]
    return ModelFiles(
        model=model,
        commit=lock.commit if lock else None,
        t3=place(parts.t3),
        s3gen=place(parts.s3gen),
        voice_encoder=place(parts.voice_encoder),
        tokenizer=place(parts.tokenizer),
        conditionals=place_if_there(parts.conditionals),
        cangjie=place_if_there(parts.cangjie),
        prequantized=prequantized,
        cache=cache,
    )
