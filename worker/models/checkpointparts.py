"""Loads the parts of a checkpoint one by one: T3 in its precision, S3Gen, the voice encoder, a voice.

The folder has been checked (`checkpoint`). Knows nothing of hashes, of fetching, or of what is done with the parts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from worker.errors import ModelLoadError
from worker.models.checkpoint import Parts, readable
from worker.models.header import read_header
from worker.models.precision import DTYPES, Precision
from worker.models.prequantized import load_quantized_t3
from worker.models.quantization import DEFAULT_THRESHOLD, cast_parameters, quantize_t3
from worker.models.skeleton import empty_t3, fill, read_t3_sizes
from worker.models.weights import load_conditionals, load_state

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

#: What S3Gen computes for itself; the English file does not have to hold it.
_COMPUTED_TENSORS: Final = frozenset({"tokenizer._mel_filters", "tokenizer.window"})


def load_t3(
    directory: Path,
    files: Parts,
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
    return cast_parameters(t3, DTYPES[precision]).to(device).eval()


def load_s3gen(directory: Path, files: Parts, device: str | torch.device) -> Any:
    """Load S3Gen as chatterbox-tts does, but refuse a file that lacks weights: those would stay random.

    Raises:
        ModelLoadError: a tensor is missing or of another shape.
    """
    from chatterbox.models.s3gen import S3Gen

    path = directory / files.s3gen
    return _copy_into(_undrawn(S3Gen), path, may_miss=_COMPUTED_TENSORS).to(device).eval()


def load_voice_encoder(directory: Path, files: Parts, device: str | torch.device) -> Any:
    """Load the voice encoder.

    Raises:
        ModelLoadError: a tensor is missing or of another shape.
    """
    from chatterbox.models.voice_encoder import VoiceEncoder

    voice_encoder = _undrawn(VoiceEncoder)
    return _copy_into(voice_encoder, directory / files.voice_encoder, may_miss=frozenset()).to(device).eval()


def load_voice(path: Path, device: str | torch.device, conditionals: Any) -> Any | None:
    """Load a voice stored by chatterbox-tts, as its `Conditionals`; None if the file is not there.

    Raises:
        ModelLoadError: it holds something else.
    """
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    if not readable(path).is_file():
        return None
    stored = load_conditionals(readable(path))
    try:
        return conditionals(T3Cond(**stored["t3"]), stored["gen"]).to(device)
    except (KeyError, TypeError) as exc:
        raise ModelLoadError(f"{path} holds no voice: {exc}") from exc


def read_tensors(path: Path) -> dict[str, Any]:
    """Read the tensors of a file by name; a `.pt` file is never unpickled here, see `worker.models.weights`.

    Raises:
        ModelLoadError: the file is cut short or holds more than tensors.
    """
    return load_state(readable(path))


def _undrawn(make: Callable[[], Any]) -> Any:
    """Return a module whose weights hold anything: drawing random ones is half of what making it takes."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        return make()


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
