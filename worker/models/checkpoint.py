"""A folder of Chatterbox files: which models it holds, whether they are whole, and what names their content.

Knows nothing of torch: everything here is read from names, headers and the lock, so it is asked before anything is
loaded. What is read is checked by hash elsewhere (`worker.models.weights`); this finds what a glance finds.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Final

from producer.contract.narration import ModelName
from worker.errors import ModelLoadError
from worker.models.header import read_header, require_t3_of
from worker.models.store.catalog import (
    ENGLISH,
    MULTILINGUAL,
    PARTS,
    Parts,
    converted_name,
    files_of,
    is_pickled,
    required_files_of,
)
from worker.models.store.hashing import sha256_of_all
from worker.models.store.lock import find_lock

__all__ = ["ENGLISH", "MULTILINGUAL", "Parts", "check_folder", "check_model", "find_models", "readable", "revision"]

_LFS_POINTER: Final = b"version https://git-lfs"
_REMEDY: Final = "fetch the file again and compare its size with the original"


def find_models(model_dir: Path) -> tuple[ModelName, ...]:
    """Return the models that a folder is for, complete or not: their T3 is there, or the lock holds all of them.

    Raises:
        WeightsLockError: there is a lock that cannot be read.
    """
    lock = find_lock(model_dir)
    locked = lock.complete_models() if lock else ()
    return tuple(model for model, parts in PARTS.items() if model in locked or (model_dir / parts.t3).is_file())


def check_folder(model_dir: Path) -> tuple[ModelName, ...]:
    """Check every file of every model in a folder and return the models; at least one.

    The package does without `conds.pt`; a worker needs its voice to warm up and for narrations that name none. A
    locked file that is not there is left to the check of the lock, which knows what a start reads: a T3 that was
    quantized before is not missed.

    Raises:
        ModelLoadError: naming each file, what is wrong with it and what to do.
        WeightsLockError: there is a lock that cannot be read.
    """
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} is no folder: set CHATTERQUEUE_MODEL_DIR to the folder of a checkpoint")
    models = find_models(model_dir)
    if not models:
        raise ModelLoadError(
            f"{model_dir} holds no Chatterbox checkpoint: the English model needs "
            f"{', '.join(required_files_of(ModelName.ENGLISH))}; the multilingual one "
            f"{', '.join(required_files_of(ModelName.MULTILINGUAL))}; `chatterqueue models fetch` gets them"
        )
    lock = find_lock(model_dir)
    faults = []
    for model in models:
        for name in (*required_files_of(model), PARTS[model].conditionals):
            path = readable(model_dir / name)
            if path.is_file() or not (lock and name in lock.files):
                faults += _faults(path, model, is_t3=name == PARTS[model].t3)
    if faults:
        raise ModelLoadError("\n".join(dict.fromkeys(faults)))
    return models


def check_model(model_dir: Path, files: Parts, *, int8_path: Path | None = None) -> None:
    """Return if a folder holds a whole checkpoint of one model. Reads headers, no weights.

    Args:
        model_dir: the folder.
        files: of which model.
        int8_path: a prequantized T3 that is used instead of the full weights.

    Raises:
        ModelLoadError: a file is missing or cut short, or the T3 is that of the other model.
    """
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} is not a folder: it should hold the {files.model.value} checkpoint")
    t3_path = int8_path or model_dir / files.t3
    others = [readable(model_dir / name) for name in (files.s3gen, files.voice_encoder, files.tokenizer)]
    missing = [path.name for path in (t3_path, *others) if not path.is_file()]
    if missing:
        reason = f"{model_dir} holds no whole {files.model.value} checkpoint: {', '.join(missing)} missing"
        other = MULTILINGUAL if files.model is ModelName.ENGLISH else ENGLISH
        if (model_dir / other.t3).exists() and files.t3 in missing:
            reason += f"; it holds the {other.model.value} model"
        raise ModelLoadError(reason)
    faults = _faults(t3_path, files.model, is_t3=True)
    faults += [fault for path in others for fault in _faults(path, files.model, is_t3=False)]
    if faults:
        raise ModelLoadError("\n".join(faults))


def revision(model_dir: Path, model: ModelName) -> str:
    """Return 12 hexadecimal digits that name the content of a model's files.

    A lock knows their hashes; without one all of them are read. Locking a folder does not change its revision.

    Raises:
        WeightsLockError: there is a lock that cannot be read.
    """
    lock = find_lock(model_dir)
    if lock:
        hashes = {name: lock.files[name].sha256 for name in files_of(model) if name in lock.files}
    else:
        there = [model_dir / name for name in files_of(model) if (model_dir / name).is_file()]
        hashes = {path.name: sha256 for path, sha256 in sha256_of_all(there).items()}
    lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def readable(path: Path) -> Path:
    """Return the safetensors copy of a `.pt` file that is not there, if there is one; else the path itself."""
    converted = path.with_name(converted_name(path.name))
    return converted if is_pickled(path.name) and not path.exists() and converted.exists() else path


def _faults(path: Path, model: ModelName, *, is_t3: bool) -> list[str]:
    """Return what is wrong with one file of a model: a sentence, or nothing."""
    try:
        _check_file(path)
        if is_t3:
            require_t3_of(model, path)
    except FileNotFoundError:
        return [f"{path} is missing; the {model.value} model needs it"]
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror or error}; the {model.value} model needs it"]
    except ModelLoadError as error:
        return [str(error)]
    return []


def _check_file(path: Path) -> None:
    """Raise ModelLoadError if a file is not whole, OSError if it is not there."""
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ModelLoadError(
                f"{path} is a Git LFS pointer and not the file itself: run `git lfs pull` where it came from"
            )
    if path.suffix == ".safetensors":
        read_header(path)
    elif is_pickled(path.name):
        # A file of torch.save is a zip archive with its directory at the end.
        try:
            zipfile.ZipFile(path).close()
        except zipfile.BadZipFile:
            what = f"is cut short or no file of torch.save ({path.stat().st_size} bytes)"
            raise ModelLoadError(f"{path} {what}; {_REMEDY}") from None
    else:
        try:
            json.loads(path.read_bytes())
        except ValueError:
            what = f"is cut short or no JSON ({path.stat().st_size} bytes)"
            raise ModelLoadError(f"{path} {what}; {_REMEDY}") from None
