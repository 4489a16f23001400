"""The files of a Chatterbox checkpoint: which are needed, whether they are whole, and what names their content.

Knows nothing of torch: everything here is read from headers and bytes, so it can be asked before anything is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any, Final

from producer.contract.narration import ModelName
from worker.errors import ModelLoadError

#: The file that tells which model a folder holds: T3's weights.
T3_FILE: Final = {ModelName.ENGLISH: "t3_cfg.safetensors", ModelName.MULTILINGUAL: "t3_mtl23ls_v2.safetensors"}

#: What `from_local` of chatterbox-tts 0.1.7 reads. The package does without `conds.pt`; we need its voice to warm up
#: and for narrations that name none.
FILES: Final = {
    ModelName.ENGLISH: ("ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json", "conds.pt"),
    ModelName.MULTILINGUAL: (
        "ve.pt",
        "t3_mtl23ls_v2.safetensors",
        "s3gen.pt",
        "grapheme_mtl_merged_expanded_v1.json",
        "conds.pt",
    ),
}
#: Chinese needs it; the other 22 languages do not.
CANGJIE_FILE: Final = "Cangjie5_TC.json"

#: Rows of T3's text embedding, by which the two models are told apart.
NUM_TEXT_TOKENS: Final = {ModelName.ENGLISH: 704, ModelName.MULTILINGUAL: 2454}
#: The multilingual model's end-of-speech check looks into layers 9, 12 and 13.
MIN_LAYERS: Final = {ModelName.ENGLISH: 1, ModelName.MULTILINGUAL: 14}

_LFS_POINTER: Final = b"version https://git-lfs"
_MAX_HEADER_BYTES: Final = 100_000_000
_REMEDY: Final = "fetch the file again and compare its size with the original"


def find_models(model_dir: Path) -> tuple[ModelName, ...]:
    """Return the models whose T3 weights are in a folder, complete or not; empty if there are none."""
    return tuple(model for model, name in T3_FILE.items() if (model_dir / name).is_file())


def check_folder(model_dir: Path) -> tuple[ModelName, ...]:
    """Check every file of every model in a folder and return the models; at least one.

    Raises:
        ModelLoadError: naming each file, what is wrong with it and what to do.
    """
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} is no folder: set CHATTERQUEUE_MODEL_DIR to the folder of a checkpoint")
    models = find_models(model_dir)
    if not models:
        raise ModelLoadError(
            f"{model_dir} holds no Chatterbox checkpoint: the English model needs {', '.join(FILES[ModelName.ENGLISH])}"
            f"; the multilingual one {', '.join(FILES[ModelName.MULTILINGUAL])}"
        )
    faults = [fault for model in models for fault in _faults(model_dir, model)]
    if faults:
        raise ModelLoadError("\n".join(dict.fromkeys(faults)))
    return models


def num_layers(t3_path: Path) -> int:
    """Return how many layers T3 has, as its own file says.

    The package's table says 30 for every checkpoint; one that was cut or distilled would not load with it.
    """
    return len({match[1] for name in _safetensors_header(t3_path) if (match := _LAYER.match(name))})


def revision(model_dir: Path, model: ModelName) -> str:
    """Return 12 hexadecimal digits that name the content of a model's files; reads them all."""
    names = [name for name in (*FILES[model], CANGJIE_FILE) if (model_dir / name).is_file()]
    digest = hashlib.sha256()
    for name in names:
        with (model_dir / name).open("rb") as file:
            digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


_LAYER: Final = re.compile(r"tfmr\.layers\.(\d+)\.")


def _faults(model_dir: Path, model: ModelName) -> list[str]:
    """Return what is wrong with a model's files, a sentence for each."""
    faults = []
    for name in FILES[model]:
        path = model_dir / name
        try:
            _check_file(path)
            if name == T3_FILE[model]:
                _check_t3(path, model)
        except OSError as error:
            faults.append(f"{path} cannot be read: {error.strerror or error}; the {model.value} model needs it")
        except ValueError as error:
            faults.append(f"{path} {error}")
    return faults


def _check_file(path: Path) -> None:
    """Raise ValueError with the end of a sentence if a file is not whole, OSError if it is not there."""
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ValueError("is a Git LFS pointer and not the file itself: run `git lfs pull` where it came from")
    if path.suffix == ".safetensors":
        _safetensors_header(path)
    elif path.suffix == ".pt":
        # A file of torch.save is a zip archive with its directory at the end.
        try:
            zipfile.ZipFile(path).close()
        except zipfile.BadZipFile:
            raise ValueError(
                f"is cut short or no file of torch.save ({path.stat().st_size} bytes); {_REMEDY}"
            ) from None
    else:
        try:
            json.loads(path.read_bytes())
        except ValueError:
            raise ValueError(f"is cut short or no JSON ({path.stat().st_size} bytes); {_REMEDY}") from None


def _safetensors_header(path: Path) -> dict[str, Any]:
    """Return a safetensors file's header: tensor name -> dtype, shape, offsets.

    Raises:
        ValueError: with the end of a sentence, if the file is not as long as its header says.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= min(_MAX_HEADER_BYTES, max(0, size_bytes - 8)):
            raise ValueError(f"is cut short or no safetensors file ({size_bytes} bytes); {_REMEDY}")
        try:
            header = json.loads(file.read(header_bytes))
            header.pop("__metadata__", None)
            expected_bytes = 8 + header_bytes + max(entry["data_offsets"][1] for entry in header.values())
        except (ValueError, AttributeError, KeyError, IndexError, TypeError):
            raise ValueError(f"has a damaged header; {_REMEDY}") from None
    if size_bytes != expected_bytes:
        raise ValueError(f"has {size_bytes} bytes where its header says {expected_bytes}; {_REMEDY}")
    return dict(header)


def _check_t3(path: Path, model: ModelName) -> None:
    """Raise ValueError with the end of a sentence if T3 is another model's."""
    rows = _safetensors_header(path).get("text_emb.weight", {}).get("shape", [0])[0]
    if rows != NUM_TEXT_TOKENS[model]:
        raise ValueError(
            f"is not the T3 of the {model.value} model: it knows {rows} text tokens, not {NUM_TEXT_TOKENS[model]}"
        )
    if (layers := num_layers(path)) < MIN_LAYERS[model]:
        raise ValueError(f"has {layers} layers; the {model.value} model needs {MIN_LAYERS[model]} or more")
