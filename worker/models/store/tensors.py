"""Reads the tensors of a checkpoint into torch: safetensors as they are, `.pt` files by their converted copy.

This is what the model classes use instead of `torch.load`.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.errors import ModelLoadError, UnsafeCheckpointError, WeightsMissingError
from worker.models.store.catalog import converted_name, is_pickled
from worker.models.store.conversion import CONVERTED_FORMAT, LEVEL, METADATA_KEY, ConversionError, convert
from worker.models.store.hashing import sha256_of

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def load_state(path: Path, *, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Return the state dict in a safetensors or `.pt` file, on `device`.

    A `.pt` file is never unpickled here: its converted copy is read. Without one it is converted now, and the copy
    stays beside it if the folder can be written to.

    Raises:
        WeightsMissingError: if there is no such file.
        UnsafeCheckpointError: if a `.pt` file holds more than tensors.
        ModelLoadError: if the file is damaged.
    """
    tensors, plain = _load(path, device)
    if plain or any(LEVEL in name for name in tensors):
        raise ModelLoadError(f"{path} is no state dict: it holds more than named tensors; is it the right file?")
    return tensors


def load_conditionals(path: Path, *, device: str = "cpu") -> dict[str, dict[str, Any]]:
    """Return the parts of a built-in voice (`conds.pt`) as {"t3": {...}, "gen": {...}}, tensors on `device`.

    Raises:
        WeightsMissingError: if there is no such file.
        UnsafeCheckpointError: if a `.pt` file holds more than tensors and plain values.
        ModelLoadError: if the file is damaged, or no voice.
    """
    tensors, plain = _load(path, device)
    parts: dict[str, dict[str, Any]] = {}
    for name, value in (tensors | plain).items():
        part, _, field = name.partition(LEVEL)
        parts.setdefault(part, {})[field] = value
    if set(parts) != {"t3", "gen"} or any("" in part for part in parts.values()):
        raise ModelLoadError(f"{path} holds no voice, which has the parts t3 and gen; is it the right file?")
    return parts


def _load(path: Path, device: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise WeightsMissingError(f"{path} is missing; run `chatterqueue models fetch`")
    with _readable(path) as readable:
        try:
            with safe_open(readable, framework="pt", device=device) as file:  # type: ignore[no-untyped-call]
                about = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
                return {name: file.get_tensor(name) for name in file.keys()}, about.get("plain", {})  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            remedy = "run `chatterqueue models verify`, then `chatterqueue models fetch`"
            raise ModelLoadError(f"{readable} is damaged: {error}; {remedy}") from error


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Give the safetensors file to read for a checkpoint file."""
    if not is_pickled(path.name):
        yield path
        return
    source_sha256 = sha256_of(path)
    target = path.with_name(converted_name(path.name))
    if is_conversion_of(target, source_sha256):
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="chatterqueue-") as folder:
        try:
            convert_checked(path, target, source_sha256)
        except OSError as error:
            # A read-only folder. In any shared place others could plant a copy, so it lives only while it is read.
            logger.warning("weights_conversion_not_kept", extra={"file": path.name, "reason": error.strerror})
            target = Path(folder) / target.name
            convert_checked(path, target, source_sha256)
        yield target


def convert_checked(source: Path, target: Path, source_sha256: str) -> None:
    """Convert a `.pt` file, under our own error.

    Raises:
        UnsafeCheckpointError: if it was refused.
        OSError: if the target's folder cannot be written to.
    """
    try:
        convert(source, target, source_sha256=source_sha256)
    except ConversionError as error:
        raise UnsafeCheckpointError(str(source), str(error)) from None
    logger.info("weights_converted", extra={"file": source.name, "size_bytes": target.stat().st_size})


def is_conversion_of(path: Path, source_sha256: str) -> bool:
    """Return whether a file is our conversion, in today's format, of the file with this hash."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:  # type: ignore[no-untyped-call]
            about = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, OSError, ValueError):
        return False
    return bool(about.get("format") == CONVERTED_FORMAT and about.get("source_sha256") == source_sha256)
