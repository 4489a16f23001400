"""Loads the models of chatterbox-tts from a folder, by the package's own `from_local`, without the network.

Knows nothing of segments. Import it only in a process that is going to speak: it imports torch and the package.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import transformers  # noqa: TID253 - this module is itself imported when an engine is loaded
from chatterbox import ChatterboxMultilingualTTS, ChatterboxTTS  # noqa: TID253
from chatterbox.models.t3 import t3 as t3_module  # noqa: TID253
from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS  # noqa: TID253
from chatterbox.models.tokenizers import tokenizer as tokenizer_module  # noqa: TID253

from producer.contract.narration import ModelName
from worker.errors import ModelLoadError
from worker.models.checkpoint import CANGJIE_FILE, T3_FILE, num_layers
from worker.models.watermark import check_watermarker

logger = logging.getLogger(__name__)

_CLASSES: Final = {ModelName.ENGLISH: ChatterboxTTS, ModelName.MULTILINGUAL: ChatterboxMultilingualTTS}


def load_model(model_dir: Path, model: ModelName, device: str) -> Any:
    """Return a `ChatterboxTTS` or `ChatterboxMultilingualTTS` in full precision; the folder must have been checked.

    Raises:
        ModelLoadError: if the package cannot load it.
        WatermarkError: if it would speak without a watermark.
    """
    check_watermarker()
    _quieten()
    try:
        with _depth(num_layers(model_dir / T3_FILE[model])), _local_chinese(model_dir), _no_prints():
            loaded = _CLASSES[model].from_local(model_dir, device)
    except Exception as error:
        first_line = str(error).strip().split("\n")[0]
        raise ModelLoadError(
            f"chatterbox-tts cannot load the {model.value} model in {model_dir}: {type(error).__name__}: {first_line}"
        ) from error
    check_watermarker(loaded.watermarker)
    _check_tokenizer(loaded, model_dir)
    return loaded


def languages_of(loaded: Any, model: ModelName) -> frozenset[str]:
    """Return the codes of the languages that a loaded model can speak as it is.

    Chinese needs its table of Cangjie codes and a word segmenter; without them the package would spell it as unknown
    tokens and speak noise.
    """
    if model is ModelName.ENGLISH:
        return frozenset({"en"})
    languages = set(ChatterboxMultilingualTTS.get_supported_languages())
    chinese = loaded.tokenizer.cangjie_converter
    if not chinese.word2cj or chinese.segmenter is None:
        languages.discard("zh")
    return frozenset(languages)


@contextlib.contextmanager
def _depth(layers: int) -> Iterator[None]:
    """Make the package build T3 as deep as the checkpoint is; its table knows one depth only."""
    table: dict[str, Any] = LLAMA_CONFIGS["Llama_520M"]
    stock_layers = table["num_hidden_layers"]
    table["num_hidden_layers"] = layers
    try:
        yield
    finally:
        table["num_hidden_layers"] = stock_layers


class _LocalChineseConverter(tokenizer_module.ChineseCangjieConverter):  # type: ignore[misc]  # untyped base
    """Takes the Cangjie table from the model folder; the stock class asks the network for it, and for a segmenter."""

    def _load_cangjie_mapping(self, model_dir: Path | None = None) -> None:
        path = Path(model_dir or ".") / CANGJIE_FILE
        if not path.is_file():
            return
        for entry in json.loads(path.read_text(encoding="utf-8")):
            word, code = entry.split("\t")[:2]
            self.word2cj[word] = code
            self.cj2word.setdefault(code, []).append(word)

    def _init_segmenter(self) -> None:
        """Use the segmenter if its model was put on this machine before; never download it."""
        try:
            from spacy_pkuseg import config  # type: ignore[import-untyped]
        except ImportError:
            return
        if (Path(config.pkuseg_home) / "spacy_ontonotes").is_dir():
            super()._init_segmenter()


@contextlib.contextmanager
def _local_chinese(model_dir: Path) -> Iterator[None]:
    """Keep the tokenizer off the network while a model is loaded."""
    stock = tokenizer_module.ChineseCangjieConverter
    tokenizer_module.ChineseCangjieConverter = _LocalChineseConverter
    try:
        yield
    finally:
        tokenizer_module.ChineseCangjieConverter = stock


@contextlib.contextmanager
def _no_prints() -> Iterator[None]:
    """Swallow what the packages print; a worker's standard output is its log."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _quieten() -> None:
    """Take away the progress bar of each segment and messages that repeat with each one."""

    def without_bar(steps: Iterable[int], **_: Any) -> Iterable[int]:
        return steps

    t3_module.tqdm = without_bar
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("chatterbox").setLevel(logging.ERROR)


def _check_tokenizer(loaded: Any, model_dir: Path) -> None:
    """Raise if the tokenizer can give a token that T3 has no embedding for: on CUDA that poisons the process."""
    highest = max(loaded.tokenizer.tokenizer.get_vocab().values())
    if highest >= loaded.t3.hp.text_tokens_dict_size:
        raise ModelLoadError(
            f"the tokenizer in {model_dir} belongs to another model: its token {highest} is beyond the "
            f"{loaded.t3.hp.text_tokens_dict_size} that T3 knows"
        )
