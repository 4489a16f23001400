"""The door to the folder of weights, for the model classes, the engine and the command line.

`open_model` checks what a start will read, without a network; `load_state` and `load_conditionals` read it, without
unpickling; `fetch` and `lock_as_is` fill a folder. Knows nothing of the model classes. Run as `python -m` it is
`chatterqueue models`.
"""

from __future__ import annotations

import os
from pathlib import Path

from worker.models.store.adoption import lock_as_is
from worker.models.store.fetching import Fetched, fetch
from worker.models.store.opening import ModelFiles, open_model
from worker.models.store.prequantized import PrequantizedCache
from worker.models.store.tensors import load_conditionals, load_state
from worker.models.store.verification import Verification

__all__ = [
    "Fetched",
    "ModelFiles",
    "PrequantizedCache",
    "Verification",
    "default_model_dir",
    "fetch",
    "load_conditionals",
    "load_state",
    "lock_as_is",
    "open_model",
]


def default_model_dir() -> Path:
    """Return the folder that is meant when none is named: CHATTERQUEUE_MODEL_DIR, else one in the user's cache."""
    if named := os.environ.get("CHATTERQUEUE_MODEL_DIR"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "chatterqueue" / "models"


if __name__ == "__main__":
    from worker.models.store.command import main

    raise SystemExit(main(default_dir=default_model_dir()))
