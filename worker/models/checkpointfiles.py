"""Reads a folder of Chatterbox files: checks all of it first, then loads part by part, T3 by its precision.

Knows nothing of hashes, of fetching, or of what is done with the parts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from worker.errors import ModelLoadError
from worker.models.prequantized import load_quantized_t3
from worker.models.quantization import DEFAULT_THRESHOLD, cast_parameters, quantize_t3
from worker.models.skeleton import empty_t3, fill, read_header, read_t3_sizes
from worker.models.weights import load_conditionals, load_state

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

#: How the weights of T3 are kept; the rest of the model is always float32.
Precision = Literal["fp32", "bf16", "int8"]
_DTYPES: Final = {"fp32": "float32", "bf16": "bfloat16"}

#: What S3Gen computes for itself; the English file does not have to hold it.
_COMPUTED_TENSORS: Final = frozenset({"tokenizer._mel_filters", "tokenizer.window"})


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The names of the files of one model, as chatterbox-tts has them."""

    model: str
    t3: str
    s3gen: str
    voice_encoder: str
    tokenizer: str
    #: May be missing: the model then has no voice of its own.
    voice: str = "conds.pt"
    others: tuple[str, ...] = ()

    @property
    def int8_t3(self) -> str:
        """The name of the file that holds the T3 in int8, beside the full weights or instead of them."""
        return f"{Path(self.t3).stem}.int8.safetensors"

    @property
    def all(self) -> tuple[str, ...]:
        """Every file that a complete checkpoint has."""
        return (self.t3, self.s3gen, self.voice_encoder, self.tokenizer, self.voice, *self.others)


ENGLISH: Final = CheckpointFiles(
    "english", "t3_cfg.safetensors", "s3gen.safetensors", "ve.safetensors", "tokenizer.json"
)
MULTILINGUAL: Final = CheckpointFiles(
    "multilingual",
    "t3_mtl23ls_v2.safetensors",
    "s3gen.pt",
    "ve.pt",
    "grapheme_mtl_merged_expanded_v1.json",
    others=("Cangjie5_TC.json",),
)


def check_checkpoint(directory: Path, files: CheckpointFiles, *, int8_path: Path | None = None) -> None:
    """Return if a folder holds a whole checkpoint of this model. Reads headers, no weights.

    Args:
        directory: the folder.
        files: of which model.
        int8_path: a prequantized T3 that is used instead of the full weights.

    Raises:
        ModelLoadError: a file is missing or cut short, or the T3 is that of the other model.
    """
    t3_path = int8_path or directory / files.t3
    if not directory.is_dir():
        raise ModelLoadError(f"{directory} is not a folder: it should hold the {files.model} checkpoint")
    needed = (t3_path, *(directory / name for name in (files.s3gen, files.voice_encoder, files.tokenizer)))
    missing = [path.name for path in needed if not _readable(path).is_file()]
    if missing:
        reason = f"{directory} holds no whole {files.model} checkpoint: {', '.join(missing)} missing"
        other = MULTILINGUAL if files is ENGLISH else ENGLISH
        if (directory / other.t3).exists() and files.t3 in missing:
            reason += f"; it holds the {other.model} model"
        raise ModelLoadError(reason)
    for path in needed:
        if _readable(path).suffix == ".safetensors":
            read_header(_readable(path))
    header, _ = read_header(t3_path)
    sizes = read_t3_sizes(header, t3_path)
    if sizes.model != files.model:
        raise ModelLoadError(f"{t3_path} is the T3 of the {sizes.model} model, not of the {files.model} one")


def load_t3(
    directory: Path,
    files: CheckpointFiles,
    device: str | torch.device,
    *,
    precision: Precision = "fp32",
    int8_path: Path | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> Any:
    """Load the T3 in this precision; an int8 T3 from `int8_path` if that is given.

    Raises:
        ModelLoadError: a file does not fit the model.
    """
    if precision == "int8" and int8_path is not None:
        return load_quantized_t3(int8_path, device, threshold=threshold)
    path = directory / files.t3
    header, _ = read_header(path)
    t3 = empty_t3(read_t3_sizes(header, path))
    # The tensors are views of the mapped file: what is rounded on its way to the device is never copied on the host.
    fill(t3, read_tensors(path), path)
    if precision == "int8":
        return quantize_t3(t3, device, threshold=threshold)
    return cast_parameters(t3, _DTYPES[precision]).to(device).eval()


def load_s3gen(directory: Path, files: CheckpointFiles, device: str | torch.device) -> Any:
    """Load S3Gen as chatterbox-tts does, but refuse a file that lacks weights: those would stay random.

    Raises:
        ModelLoadError: a tensor is missing or of another shape.
    """
    from chatterbox.models.s3gen import S3Gen

    path = directory / files.s3gen
    s3gen = S3Gen()
    return _copy_into(s3gen, path, may_miss=_COMPUTED_TENSORS).to(device).eval()


def load_voice_encoder(directory: Path, files: CheckpointFiles, device: str | torch.device) -> Any:
    """Load the voice encoder.

    Raises:
        ModelLoadError: a tensor is missing or of another shape.
    """
    from chatterbox.models.voice_encoder import VoiceEncoder

    return _copy_into(VoiceEncoder(), directory / files.voice_encoder, may_miss=frozenset()).to(device).eval()


def load_voice(path: Path, device: str | torch.device, conditionals: Any) -> Any | None:
    """Load a voice stored by chatterbox-tts, as its `Conditionals`; None if the file is not there.

    Raises:
        ModelLoadError: it holds something else.
    """
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    if not _readable(path).is_file():
        return None
    stored = load_conditionals(path if path.exists() else _readable(path))
    try:
        return conditionals(T3Cond(**stored["t3"]), stored["gen"]).to(device)
    except (KeyError, TypeError) as exc:
        raise ModelLoadError(f"{path} holds no voice: {exc}") from exc


def read_tensors(path: Path) -> dict[str, Any]:
    """Read the tensors of a file by name; a `.pt` file is never unpickled here, see `worker.models.weights`.

    Raises:
        ModelLoadError: the file is cut short or holds more than tensors.
    """
    return load_state(path if path.exists() else _readable(path))


def _readable(path: Path) -> Path:
    """Return the safetensors copy of a `.pt` file, if there is one, else the path itself."""
    converted = path.with_name(f"{path.name}.safetensors")
    return converted if path.suffix == ".pt" and converted.exists() else path


def _copy_into(module: Any, path: Path, *, may_miss: frozenset[str]) -> Any:
    """Copy the tensors of a file into a module; unknown ones are left out, as chatterbox-tts does, but said."""
    try:
        missing, unexpected = module.load_state_dict(read_tensors(path), strict=False)
    except RuntimeError as exc:
        raise ModelLoadError(
            f"{path} does not fit {type(module).__name__}: {str(exc).splitlines()[-1].strip()}"
        ) from exc
    missing = [name for name in missing if name not in may_miss]
    if missing:
        listed = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelLoadError(f"{path} does not fit {type(module).__name__}: {listed} missing")
    if unexpected:
        logger.warning("unknown_tensors", extra={"file": path.name, "num_tensors": len(unexpected)})
    return module
