"""A T3 that is int8 on disk: written once, so that the next start reads a quarter of the bytes.

One safetensors file: `<layer>.weight` int8 [out, in], `<layer>.SCB` float32 [out] (the scale of each row), everything
else float16. It is made from one file of full weights, whose name, size and time of change are in its metadata;
knows nothing of where such files are kept, and does not check hashes.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from worker.errors import ModelLoadError
from worker.models.header import read_header
from worker.models.int8_support import import_bitsandbytes
from worker.models.quantization import DEFAULT_THRESHOLD, count_linears, empty_int8_layer, is_int8_weight
from worker.models.skeleton import empty_t3, fill, read_t3_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

logger = logging.getLogger(__name__)

#: Raised when the layout changes; a file with another value is not used.
FORMAT: Final = "chatterqueue-t3-int8-v1"


def save_quantized_t3(t3: nn.Module, path: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write an int8 T3, from whatever device it is on; the file appears whole or not at all.

    Raises:
        ModelLoadError: some Linear layer of this T3 is not int8.
    """
    from safetensors.torch import save_file

    num_linears, num_int8 = count_linears(t3)
    if num_linears != num_int8:
        raise ModelLoadError(f"{path} is not written: only {num_int8} of {num_linears} layers are int8")
    tensors: dict[str, torch.Tensor] = {}
    for name, module in t3.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is None:
                continue
            full_name = f"{name}.{key}" if name else key
            tensors[full_name] = parameter.data.cpu().contiguous()
            if is_int8_weight(parameter):
                tensors[f"{name}.SCB"] = _row_scales(module).cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata={**(metadata or {}), "format": FORMAT})
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def describe_source(path: Path) -> dict[str, str]:
    """Return what tells one file of full weights from another without reading it; empty if it is not there."""
    if not path.is_file():
        return {}
    facts = path.stat()
    return {"source": path.name, "source_bytes": str(facts.st_size), "source_mtime_ns": str(facts.st_mtime_ns)}


def is_current(path: Path, source: Path) -> bool:
    """Return whether an int8 file is there and was made from this file of full weights.

    If the full weights are not there, the int8 file stands for itself.
    """
    if not path.is_file():
        return False
    described = describe_source(source)
    _, metadata = read_header(path)
    if all(metadata.get(key) == value for key, value in described.items()):
        return True
    logger.warning("int8_file_outdated", extra={"file": path.name, "source": source.name})
    return False


def load_quantized_t3(path: Path, device: str | torch.device, *, threshold: float = DEFAULT_THRESHOLD) -> Any:
    """Read an int8 T3 straight to its device; neither the full weights nor memory for them are needed.

    Raises:
        ModelLoadError: the file is missing, cut short, of another format, or does not fit a T3.
    """
    import torch
    from safetensors.torch import load_file
    from torch import nn

    header, metadata = read_header(path)
    if metadata.get("format") != FORMAT:
        reason = f"{path} is not a {FORMAT} file but {metadata.get('format', 'without a format')}: remove it"
        raise ModelLoadError(reason)
    t3 = empty_t3(read_t3_sizes(header, path))
    device = torch.device(device)
    tensors = load_file(path, device=str(device))
    _empty_layers(t3, threshold=threshold)
    scales = {name: tensors.pop(name) for name in [name for name in tensors if name.endswith(".SCB")]}
    # Parameters are made here and not by `assign`: an int8 weight carries its scales with it.
    weights = import_bitsandbytes().nn.Int8Params
    layers = [name for name, module in t3.named_modules() if isinstance(module, nn.Linear)]
    for name in layers:
        values, row_scales = tensors.get(f"{name}.weight"), scales.pop(f"{name}.SCB", None)
        if values is None or row_scales is None or values.dtype != torch.int8 or row_scales.shape != values.shape[:1]:
            raise ModelLoadError(f"{path} does not fit the model: {name} is not int8 with a scale for each row")
        tensors[f"{name}.weight"] = weights(
            values, requires_grad=False, has_fp16_weights=False, CB=values, SCB=row_scales
        )
    fill(t3, {**tensors, **scales}, path)
    t3.tfmr.rotary_emb.to(device)
    return t3.requires_grad_(requires_grad=False).eval()


def _empty_layers(t3: nn.Module, *, threshold: float) -> None:
    from torch import nn
    from transformers.initialization import no_init_weights

    with no_init_weights():
        for parent in list(t3.modules()):
            for name, child in list(parent._modules.items()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, empty_int8_layer(child, threshold=threshold))


def _row_scales(layer: Any) -> Any:
    """Return the scale of each row [out] float32: bitsandbytes moves it from the weight to the state at first use."""
    scales = layer.weight.SCB if layer.weight.SCB is not None else layer.state.SCB
    return scales.data
