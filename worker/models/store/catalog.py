"""Which files each Chatterbox model is made of.

The names are those of chatterbox-tts 0.1.7; both models live in one repository and share `conds.pt`.
"""

from __future__ import annotations

from typing import Final

from producer.contract.narration import ModelName

DEFAULT_REPO: Final = "ResembleAI/chatterbox"
DEFAULT_REVISION: Final = "main"

_FILES: Final = {
    ModelName.ENGLISH: ("t3_cfg.safetensors", "s3gen.safetensors", "ve.safetensors", "conds.pt", "tokenizer.json"),
    ModelName.MULTILINGUAL: (
        "t3_mtl23ls_v2.safetensors",
        "s3gen.pt",
        "ve.pt",
        "conds.pt",
        "grapheme_mtl_merged_expanded_v1.json",
        "Cangjie5_TC.json",
    ),
}
ALL_MODELS: Final = tuple(_FILES)
#: A folder that was not fetched may lack these: the built-in voice, and the table for Chinese.
_OPTIONAL: Final = frozenset({"conds.pt", "Cangjie5_TC.json"})


def files_of(model: ModelName) -> tuple[str, ...]:
    """Return the names of the files that a model is made of, the largest first."""
    return _FILES[model]


def files_of_all(models: tuple[ModelName, ...]) -> tuple[str, ...]:
    """Return the names of the files of some models, each one once."""
    return tuple(dict.fromkeys(name for model in models for name in files_of(model)))


def required_files_of(model: ModelName) -> tuple[str, ...]:
    """Return the files without which a model cannot speak at all."""
    return tuple(name for name in files_of(model) if name not in _OPTIONAL)


def t3_of(model: ModelName) -> str:
    """Return the name of the file with the model's T3."""
    return files_of(model)[0]


def is_pickled(name: str) -> bool:
    """Return whether a file is a pickle, which is converted once and never loaded as it is."""
    return name.endswith(".pt")


def converted_name(name: str) -> str:
    """Return the name that a converted file has; `ve.safetensors` is taken by the English model."""
    return f"{name}.safetensors"
