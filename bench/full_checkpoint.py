"""Makes a full-size Chatterbox checkpoint with random weights, in the real file format.

    python bench/full_checkpoint.py DIR --model english|multilingual [--stops-after 20]

The files have the sizes of the real ones: 30 layers, full precision. With `--stops-after` the weights are rigged, as
those of the small checkpoints of the tests are, so that the model ends its speech; without, they are plain noise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import small_checkpoint  # the tests' own script: only its sizes differ

NUM_LAYERS = 30


def make_full_checkpoint(directory: Path, model: str, *, stops_after: int | None = None) -> Path:
    """Write the files of a model and return the folder.

    Args:
        directory: made if it is not there.
        model: `english` or `multilingual`.
        stops_after: speech tokens after which the model ends; None leaves the weights as they are.
    """
    small_checkpoint.NUM_LAYERS = dict.fromkeys(small_checkpoint.NUM_LAYERS, NUM_LAYERS)
    small_checkpoint._halved = lambda state: {name: tensor.contiguous() for name, tensor in state.items()}
    if stops_after is None:
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
    parser.add_argument("--stops-after", type=int, metavar="TOKENS")
    arguments = parser.parse_args()
    make_full_checkpoint(arguments.directory, arguments.model, stops_after=arguments.stops_after)


if __name__ == "__main__":
    main()
