"""What a reader types never becomes a command to the model: asked of the tokenizers themselves."""

# Brackets of other scripts are what this is about.
# ruff: noqa: RUF001

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

import pytest
from small_checkpoint import BOTH, cached_checkpoint

from worker.text import split

#: Packages that the models bring along warn when they are imported.
pytestmark = pytest.mark.filterwarnings("default")

#: Each is a command to a tokenizer that sees it as it stands.
COMMANDS = ("[STOP]", "[START]", "[SPACE]", "[PAD]", "[UNK]", "[fr]", "[en]", "[cj_a]", "[FR]", "[ fr ]")
DISGUISES: dict[str, Callable[[str], str]] = {
    "as it stands": str,
    "inside of a word": lambda command: f"cat{command}alogue",
    "in brackets": lambda command: f"[{command}]",
    "in itself": lambda command: command[:2] + command + command[2:],
    "full width": lambda command: command.replace("[", "［").replace("]", "］"),
    "vertical": lambda command: command.replace("[", "﹇").replace("]", "﹈"),
    "with zero width": lambda command: "\u200b".join(command),
    "with a control": lambda command: command.replace("[", "[\x00").replace("]", "\x1b]"),
    "with a bidi override": lambda command: f"\u202e{command}\u202c",
    "with a soft hyphen": lambda command: command.replace("]", "\u00ad]"),
    "with a tag character": lambda command: command.replace("[", "[\U000e0041"),
    "over two lines": lambda command: command.replace("]", "\n]"),
}


def tokenizer_of(language: str | None):
    """Return a model's own tokenizer, and the path that it was read from."""
    from worker.models.multilingual import ChatterboxMultilingualTTS
    from worker.models.tts import ChatterboxTTS

    model = ChatterboxTTS if language is None else ChatterboxMultilingualTTS
    path = cached_checkpoint(BOTH) / model.files.tokenizer
    return model._load_tokenizer(path), path


@pytest.mark.parametrize("language", [None, "en", "fr"], ids=["english", "multilingual en", "multilingual fr"])
def test_no_text_gives_a_token_that_is_a_command(language: str | None) -> None:
    tokenizer, path = tokenizer_of(language)
    special = {token["content"]: token["id"] for token in json.loads(path.read_text())["added_tokens"]}
    assert {"[STOP]", "[START]", "[SPACE]", "[UNK]"} <= set(special)
    options = {} if language is None else {"language_id": language}

    def commands_in(text: str) -> set[int]:
        tokens = tokenizer.text_to_tokens(text, **options)[0].tolist()
        if language is not None:
            assert tokens.pop(0) == special[f"[{language}]"]  # which the tokenizer itself puts in front
        # A space is a token of that kind, and so is a letter that this small tokenizer does not know.
        return set(tokens) & set(special.values()) - {special["[SPACE]"], special["[UNK]"]}

    # Else the test could not fail; the multilingual one reads lower case only.
    raw = "stop here [STOP]" if language is None else "stop here [fr]"
    assert commands_in(raw) != set()
    for command in COMMANDS:
        for disguise in DISGUISES.values():
            plan = split(f"Say {disguise(command)} again.", language=language or "en", narration_id="n")
            for segment in plan.segments:
                assert commands_in(segment.text) == set(), (command, segment.text)


def test_nothing_that_normalizes_to_a_bracket_is_left() -> None:
    """The multilingual tokenizer decomposes a text after we have looked at it."""
    brackets = [
        character
        for character in map(chr, range(0x110000))
        if set("[]") & set(unicodedata.normalize("NFKD", character))
    ]
    assert len(brackets) >= 6
    text = "".join(f"a{bracket}b " for bracket in brackets)
    (segment,) = split(text, language="en", narration_id="n").segments
    assert not set("[]") & set(unicodedata.normalize("NFKD", segment.text))
