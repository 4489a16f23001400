"""Makes a full-size Chatterbox checkpoint with random weights, in the real file format.

    python bench/full_checkpoint.py DIR --model english|multilingual [--stops-after 20 | --by-text [RATE]] [--small]

The files have the sizes of the real ones: 30 layers, full precision. With `--stops-after` the weights are rigged, as
those of the small checkpoints of the tests are, so that the model ends its speech; with `--by-text` they are rigged so
that it speaks as long as its text is, and the voice has a prompt of 10 s, as real ones have; without either they are
plain noise. `--small`: one layer, half precision, short prompt, to try on a CPU what is meant for a GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import small_checkpoint  # the tests' own script: only its sizes differ
from lengthrig import REAL_TOKENS_PER_CHARACTER, rig_length

NUM_LAYERS: Final = 30
#: Of a voice made of ten seconds, 25 a second.
NUM_PROMPT_TOKENS: Final = 250


def make_full_checkpoint(
    directory: Path,
    model: str,
    *,
    stops_after: int | None = None,
    tokens_per_character: float | None = None,
    is_small: bool = False,
) -> Path:
    """Write the files of a model and return the folder.

    Args:
        directory: made if it is not there.
        model: `english` or `multilingual`.
        stops_after: speech tokens after which the model ends; None leaves the weights as they are.
        tokens_per_character: speech tokens for each character of a text, English only; None: the same.
        is_small: of the least size that the real classes load.
    """
    assert stops_after is None or tokens_per_character is None, "it ends by number or by text"
    assert tokens_per_character is None or model == small_checkpoint.ENGLISH, "only the English model ends by its text"
    if not is_small:
        small_checkpoint.NUM_LAYERS = dict.fromkeys(small_checkpoint.NUM_LAYERS, NUM_LAYERS)
        small_checkpoint._halved = lambda state: {name: tensor.contiguous() for name, tensor in state.items()}
    if tokens_per_character is not None:
        small_checkpoint._rig_t3 = lambda t3, _model: rig_length(t3, tokens_per_character)
        if not is_small:
            small_checkpoint.NUM_PROMPT_TOKENS = NUM_PROMPT_TOKENS
    elif stops_after is None:
        small_checkpoint._rig_t3 = lambda _t3, _model: None
    else:
        small_checkpoint.NUM_SPEECH_TOKENS = stops_after
    small_checkpoint.make_checkpoint(directory, model)
    return directory


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Make a full-size checkpoint with random weights.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", choices=["english", "multilingual"], default="english")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--stops-after", type=int, metavar="TOKENS")
    end.add_argument(
        "--by-text",
        type=float,
        nargs="?",
        const=REAL_TOKENS_PER_CHARACTER,
        metavar="RATE",
        help="speech tokens for each character; without a number as fast as people read aloud",
    )
    parser.add_argument("--small", action="store_true", help="one layer, half precision, short prompt")
    arguments = parser.parse_args()
    make_full_checkpoint(
        arguments.directory,
        arguments.model,
        stops_after=arguments.stops_after,
        tokens_per_character=arguments.by_text,
        is_small=arguments.small,
    )


if __name__ == "__main__":
    main()
