"""Whether a model went round in circles, by the speech tokens that it drew. Knows nothing of sound."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.quality.finding import Finding, Flag

#: Tokens of one circle, and what they must fill: 25 of them are a second of speech. Two equal seconds in a row are
#: never drawn by chance, as each token is one of several likely ones; silence is, and short pauses are all one token.
_LONGEST_CIRCLE: Final = 40
_MIN_TOKENS: Final = 50
_MIN_TURNS: Final = 3


def check_tokens(tokens: NDArray[np.integer] | None) -> Finding | None:
    """Find a stretch in which the same tokens [num_tokens] come round three times and more, for two seconds."""
    if tokens is None:
        return None
    for circle in range(1, min(_LONGEST_CIRCLE, len(tokens) // _MIN_TURNS) + 1):
        needed = max(_MIN_TOKENS, _MIN_TURNS * circle) - circle
        if _longest_run(tokens[:-circle] == tokens[circle:]) >= needed:
            return Finding(Flag.TOKENS_REPEAT, 0.8)
    return None


def _longest_run(is_equal: NDArray[np.bool_]) -> int:
    """Return the length of the longest stretch of True in [N]."""
    breaks = np.flatnonzero(np.concatenate([[True], ~is_equal, [True]]))
    return int(np.diff(breaks).max()) - 1
