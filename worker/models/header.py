"""The header of a safetensors file: what tensors it holds, and of which model a T3 is; no weight is read.

Knows nothing of torch, so it can be asked before anything is loaded.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from producer.contract.narration import ModelName
from worker.errors import ModelLoadError
from worker.models.precision import Precision

#: A safetensors header is JSON of some 100 bytes for each tensor; T3 has about 300, S3Gen about 2,000.
_MAX_HEADER_BYTES: Final = 16 * 2**20
_REMEDY: Final = "fetch the file again and compare its size with the original"
_LAYER: Final = re.compile(r"tfmr\.layers\.(\d+)\.")

#: Rows of T3's text embedding, by which chatterbox-tts tells its two models apart.
TEXT_VOCABULARY: Final = {ModelName.ENGLISH: 704, ModelName.MULTILINGUAL: 2454}
#: The multilingual model's end-of-speech check looks into layers 9, 12 and 13.
MIN_LAYERS: Final = {ModelName.ENGLISH: 1, ModelName.MULTILINGUAL: 14}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a safetensors header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Read what tensors a safetensors file holds, and its metadata, without reading a weight.

    Raises:
        ModelLoadError: the file is missing, cut short, or no safetensors file.
    """
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            # An absurd length is that of a file of another kind; read no more than a header can be.
            header: dict[str, Any] = json.loads(file.read(min(length, _MAX_HEADER_BYTES)))
        metadata = dict(header.pop("__metadata__", {}))
        tensors = {name: TensorInfo(entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
        data_bytes = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except OSError as exc:
        raise ModelLoadError(f"{path} cannot be read: {exc.strerror}") from exc
    except (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError) as exc:
        raise ModelLoadError(f"{path} is cut short or no safetensors file ({size_bytes} bytes); {_REMEDY}") from exc
    if size_bytes != 8 + length + data_bytes:
        expected = f"{size_bytes} bytes instead of {8 + length + data_bytes}"
        raise ModelLoadError(f"{path} is cut short or has been added to: {expected}; {_REMEDY}")
    return tensors, metadata


def count_layers(tensors: Mapping[str, TensorInfo]) -> int:
    """Return how many layers the T3 has whose tensors these are; 30, unless it was cut or distilled."""
    return len({match[1] for name in tensors if (match := _LAYER.match(name))})


def require_t3_of(model: ModelName, path: Path) -> None:
    """Return if a file holds the T3 of this model, as its header says; in full or as int8.

    Raises:
        ModelLoadError: it is the other model's, too shallow, or no whole file.
    """
    tensors, _ = read_header(path)
    rows = next(iter(tensors.get("text_emb.weight", TensorInfo("", (0,))).shape), 0)
    if rows != TEXT_VOCABULARY[model]:
        raise ModelLoadError(
            f"{path} is not the T3 of the {model.value} model: "
            f"it knows {rows} text tokens, not {TEXT_VOCABULARY[model]}"
        )
    if (num_layers := count_layers(tensors)) < MIN_LAYERS[model]:
        raise ModelLoadError(
            f"{path} has {num_layers} layers; the {model.value} model needs {MIN_LAYERS[model]} or more"
        )


def t3_bytes(tensors: Mapping[str, TensorInfo], precision: Precision) -> int:
    """Return what the T3 whose tensors these are takes on a device.

    In int8 every matrix but the embeddings has a byte for each number and four for each row; the rest is float16.
    """
    total_bytes = 0
    for name, info in tensors.items():
        is_matrix = len(info.shape) == 2 and "emb" not in f".{name}".split(".")[-2]
        if precision == "int8" and name.endswith(".SCB"):
            continue
        if precision == "int8" and is_matrix:
            total_bytes += math.prod(info.shape) + 4 * info.shape[0]
        else:
            total_bytes += math.prod(info.shape) * (4 if precision == "fp32" else 2)
    return total_bytes
