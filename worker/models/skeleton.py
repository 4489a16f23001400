"""Builds a T3 of the sizes that a checkpoint has, without spending time or memory on weights.

Knows nothing of precision or devices: from what a header says it makes empty modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.errors import ModelLoadError
from worker.models.header import TEXT_VOCABULARY, TensorInfo, count_layers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn


@dataclass(frozen=True, slots=True)
class T3Sizes:
    """What the weights of a T3 say about its shape. Everything else is fixed by chatterbox-tts."""

    num_layers: int
    head_size: int
    mlp_size: int
    text_vocabulary: int


def read_t3_sizes(tensors: Mapping[str, TensorInfo], path: Path) -> T3Sizes:
    """Return the sizes of the T3 whose tensors these are.

    Raises:
        ModelLoadError: they are not those of a T3, or of none that chatterbox-tts 0.1.7 knows.
    """
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS

    num_heads = LLAMA_CONFIGS["Llama_520M"]["num_attention_heads"]
    try:
        head_rows = tensors["tfmr.layers.0.self_attn.q_proj.weight"].shape[0]
        mlp_rows = tensors["tfmr.layers.0.mlp.gate_proj.weight"].shape[0]
        text_rows = tensors["text_emb.weight"].shape[0]
    except KeyError as exc:
        reason = f"{path} holds no T3: it has no tensor {exc.args[0]}"
        raise ModelLoadError(reason) from None
    if text_rows not in TEXT_VOCABULARY.values():
        known = ", ".join(f"{model.value} {size}" for model, size in TEXT_VOCABULARY.items())
        raise ModelLoadError(f"{path} holds a T3 with {text_rows} text tokens; chatterbox-tts 0.1.7 knows {known}")
    return T3Sizes(count_layers(tensors), head_rows // num_heads, mlp_rows, text_rows)


def empty_t3(sizes: T3Sizes) -> Any:
    """Return a T3 of these sizes whose parameters have no memory yet; its rotary frequencies are there."""
    import torch
    from chatterbox.models.t3 import T3
    from chatterbox.models.t3.modules.t3_config import T3Config
    from transformers.initialization import no_init_weights
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = T3Config(text_tokens_dict_size=sizes.text_vocabulary)
    config.llama_config_name = _llama_config_name(sizes)
    # Drawing random weights takes half of the time even where there is no memory to draw them into.
    with torch.device("meta"), no_init_weights():
        t3 = T3(config)
    # The one part of T3 that is computed and not stored.
    t3.tfmr.rotary_emb = LlamaRotaryEmbedding(config=t3.cfg)
    return t3


def fill(module: nn.Module, tensors: Mapping[str, Any], path: Path, *, may_miss: frozenset[str] = frozenset()) -> None:
    """Make these tensors the parameters of a module, without copying them.

    Raises:
        ModelLoadError: a tensor is missing, unknown or of another shape; all faults in one sentence.
    """
    try:
        missing, unexpected = module.load_state_dict(dict(tensors), strict=False, assign=True)
    except RuntimeError as exc:
        raise ModelLoadError(f"{path} does not fit the model: {_first_fault(exc)}") from exc
    missing = [name for name in missing if name not in may_miss]
    if missing or unexpected:
        faults = [f"{name} is missing" for name in missing] + [f"{name} is unknown" for name in unexpected]
        listed = ", ".join(faults[:3]) + (f" and {len(faults) - 3} more" if len(faults) > 3 else "")
        raise ModelLoadError(f"{path} does not fit the model: {listed}")


def _llama_config_name(sizes: T3Sizes) -> str:
    """Return the name of the backbone's configuration, registering it with chatterbox-tts if it has none such."""
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS

    own = {"num_hidden_layers": sizes.num_layers, "head_dim": sizes.head_size, "intermediate_size": sizes.mlp_size}
    standard = LLAMA_CONFIGS["Llama_520M"]
    if all(standard[key] == value for key, value in own.items()):
        return "Llama_520M"
    name = f"Llama_{sizes.num_layers}x{sizes.head_size}x{sizes.mlp_size}"
    LLAMA_CONFIGS.setdefault(name, {**standard, **own})
    return name


def _first_fault(exc: RuntimeError) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else lines[0]
