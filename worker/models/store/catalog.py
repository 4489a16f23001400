"""Which files each Chatterbox model is made of.

The names are those of chatterbox-tts 0.1.7; both models lie in one repository and share `conds.pt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from producer.contract.narration import ModelName

DEFAULT_REPO: Final = "ResembleAI/chatterbox"
DEFAULT_REVISION: Final = "main"


@dataclass(frozen=True, slots=True)
class Parts:
    """The file of each part of a model."""

    model: ModelName
    #: T3's weights, by which a folder shows which model it holds.
    t3: str
    s3gen: str
    voice_encoder: str
    tokenizer: str
    #: The built-in voice. A folder that was not fetched may lack it.
    conditionals: str = "conds.pt"
    #: The table for Chinese; None: the model has no use for it. A folder that was not fetched may lack it.
    cangjie: str | None = None

    @property
    def int8_t3(self) -> str:
        """The name of the file that `save_int8` writes, beside the full weights or instead of them."""
        return f"{PurePath(self.t3).stem}.int8.safetensors"


ENGLISH: Final = Parts(ModelName.ENGLISH, "t3_cfg.safetensors", "s3gen.safetensors", "ve.safetensors", "tokenizer.json")
MULTILINGUAL: Final = Parts(
    ModelName.MULTILINGUAL,
    "t3_mtl23ls_v2.safetensors",
    "s3gen.pt",
    "ve.pt",
    "grapheme_mtl_merged_expanded_v1.json",
    cangjie="Cangjie5_TC.json",
)
PARTS: Final = {parts.model: parts for parts in (ENGLISH, MULTILINGUAL)}
ALL_MODELS: Final = tuple(PARTS)


def files_of(model: ModelName) -> tuple[str, ...]:
    """Return the names of the files that a model is made of, the largest first."""
    parts = PARTS[model]
    names = (parts.t3, parts.s3gen, parts.voice_encoder, parts.tokenizer, parts.conditionals, parts.cangjie)
    return tuple(name for name in names if name is not None)


def files_of_all(models: Sequence[ModelName]) -> tuple[str, ...]:
    """Return the names of the files of some models, each one once."""
    return tuple(dict.fromkeys(name for model in models for name in files_of(model)))


def required_files_of(model: ModelName) -> tuple[str, ...]:
    """Return the files without which a model cannot speak at all."""
    optional = {PARTS[model].conditionals, PARTS[model].cangjie}
    return tuple(name for name in files_of(model) if name not in optional)


def is_pickled(name: str) -> bool:
    """Return whether a file is a pickle, which is converted once and never loaded as it is."""
    return name.endswith(".pt")


def converted_name(name: str) -> str:
    """Return the name that a converted file has; `ve.safetensors` is taken by the English model."""
    return f"{name}.safetensors"
