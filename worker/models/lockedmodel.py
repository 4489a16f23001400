"""Loads a model for a worker: from verified files only, and int8 from the cache once it is there. No network.

Knows nothing of engines. `from_local` of the classes stays what it is in chatterbox-tts: it takes any folder.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from producer.contract.narration import ModelName
from worker.errors import FetchBusyError
from worker.models.int8_support import require_int8_parts
from worker.models.prequantized import FORMAT, save_quantized_t3
from worker.models.weights import ModelFiles, Verification, open_model

if TYPE_CHECKING:
    from pathlib import Path

    from worker.models.precision import Precision

logger = logging.getLogger(__name__)


def load_locked(
    model: ModelName,
    model_dir: Path,
    device: str,
    *,
    precision: Precision,
    cache_dir: Path,
    verification: Verification = Verification.FULL,
    is_lock_required: bool = False,
    rest_device: str | None = None,
) -> Any:
    """Check the files of a model against the lock and load it; the first int8 start leaves its T3 for the next one.

    Args:
        model: which one.
        model_dir: the folder with its files.
        device: where T3 goes.
        precision: of T3.
        cache_dir: where T3 in int8 is kept if the folder cannot be written to or has no lock.
        verification: how the files are compared with their lock.
        is_lock_required: refuse a folder without a lock.
        rest_device: where everything but T3 goes, if that is another place; see `SafeLoading.load`.

    Raises:
        ModelLoadError: naming each file that is missing or not what the lock says, or what does not fit the model.
        WatermarkError: the watermark is not installed.
    """
    if precision == "int8":
        require_int8_parts(device)  # before gigabytes are hashed
    # Hashing takes seconds without the interpreter, importing chatterbox-tts takes more with it: side by side.
    with ThreadPoolExecutor(1, thread_name_prefix="open-model") as opener:
        opening = opener.submit(
            open_model,
            model_dir,
            model,
            prequantized_format=_prequantized_format() if precision == "int8" else None,
            verification=verification,
            cache_dir=cache_dir,
            is_lock_required=is_lock_required,
        )
        model_class = _class_of(model)
        files = opening.result()
    names = replace(
        model_class.files,
        s3gen=files.s3gen.name,
        voice_encoder=files.voice_encoder.name,
        conditionals=files.conditionals.name if files.conditionals else model_class.files.conditionals,
    )
    loaded = model_class.load(
        model_dir,
        device,
        precision=precision,
        int8_path=files.prequantized,
        files=names,
        rest_device=rest_device,
    )
    if precision == "int8" and files.prequantized is None:
        _keep(loaded.t3, files)
    return loaded


def _class_of(model: ModelName) -> Any:
    """Return the class of a model; the first time this imports chatterbox-tts."""
    import worker.models

    return worker.models.ChatterboxTTS if model is ModelName.ENGLISH else worker.models.ChatterboxMultilingualTTS


def _prequantized_format() -> str:
    """Return what a quantized file must be made by: our layout, and the version of bitsandbytes."""
    from importlib.metadata import version

    return f"{FORMAT}-bnb{version('bitsandbytes')}"


def _keep(t3: Any, files: ModelFiles) -> None:
    """Store a T3 that was just quantized; without it the next start is slower, and no worse."""
    if files.cache is None:
        return
    try:
        files.cache.store(lambda path: save_quantized_t3(t3, path, metadata={"model": files.model.value}))
    except (OSError, FetchBusyError) as error:
        logger.warning("prequantized_not_kept", extra={"reason": str(error)})
