"""Whether a take says a piece of its text again and again. Knows nothing of how likeness is measured."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.quality.finding import Finding, Flag
from worker.quality.likeness import Likeness
from worker.quality.sound import HOP_S
from worker.quality.spoken import Spoken

#: Frames from one turn of a loop to the next: 0.14 to 1.4 s.
_SHORTEST_TURN: Final = round(0.14 / HOP_S)
_LONGEST_TURN: Final = round(1.4 / HOP_S)
#: Frames that a loop takes at least, and turns beside the first.
_SHORTEST_LOOP: Final = round(0.6 / HOP_S)
_NUM_TURNS: Final = 2
#: Frames by which a turn may be shorter or longer than another.
_WOBBLE: Final = 2
#: Mean likeness, 0 to 1, from which on it is a loop. Of 300 intact takes none was above 0.83, of 300 looping ones none
#: below 0.94.
_MIN_LIKENESS: Final = 0.88
#: How much less alike the sound must be half a turn later, or it is no loop but one sound that is held.
_MIN_CONTRAST: Final = 0.25
#: Share of a loop that is not silent.
_MIN_ACTIVE: Final = 0.6


#: Lags from which rows of likeness are taken: those of the turns, what they wobble by, and half a turn.
_FIRST_LAG: Final = min(_SHORTEST_TURN // 2, _SHORTEST_TURN - _WOBBLE)


def check_looping(likeness: Likeness, spoken: Spoken) -> Finding | None:
    """Find a piece that is said three times in a row, unless the text does so."""
    if spoken.is_refrain:
        return None
    turns = np.arange(_SHORTEST_TURN, _LONGEST_TURN + 1)
    lengths = np.maximum(_NUM_TURNS * turns, _SHORTEST_LOOP)
    num_fitting = int((likeness.num_frames >= lengths + turns + _WOBBLE).sum())
    if num_fitting == 0:
        return None
    turns, lengths = turns[:num_fitting], lengths[:num_fitting]
    later = likeness.later(_FIRST_LAG, int(turns[-1]) + _WOBBLE + 1 - _FIRST_LAG)
    means, places = _best_stretches(_nearest(later, num_fitting), likeness.is_active, turns, lengths)
    for at in np.flatnonzero(means >= _MIN_LIKENESS):
        half = later[turns[at] // 2 - _FIRST_LAG][places[at] : places[at] + lengths[at]]
        if means[at] - half.mean() >= _MIN_CONTRAST:
            return Finding(Flag.LOOPING, 0.8)
    return None


def _nearest(later: NDArray[np.float32], num_turns: int) -> NDArray[np.float32]:
    """Return [num_turns, F]: the best likeness at lags around each turn."""
    around = later[_SHORTEST_TURN - _WOBBLE - _FIRST_LAG :]
    nearest = around[:num_turns].copy()
    for lag in range(1, 2 * _WOBBLE + 1):
        np.maximum(nearest, around[lag : lag + num_turns], out=nearest)
    return nearest


def _best_stretches(
    values: NDArray[np.float32], is_active: NDArray[np.bool_], turns: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return for each turn the highest mean over a stretch of its length, and where that begins.

    Only stretches that are mostly speech, and in which each frame has a later one; silent frames do not count.

    Args:
        values: [num_turns, F].
        is_active: [F].
        turns: [num_turns] frames.
        lengths: [num_turns] frames of a stretch.
    """
    num_frames = values.shape[1]
    sums = np.zeros((len(turns), num_frames + 1))
    np.cumsum(values, axis=1, dtype=np.float64, out=sums[:, 1:])
    counts = np.concatenate([[0], np.cumsum(is_active)])
    begins = np.arange(num_frames - int(lengths[0]) + 1)
    ends = np.minimum(begins + lengths[:, None], num_frames)
    in_stretch = counts[ends] - counts[begins]
    means = (np.take_along_axis(sums, ends, axis=1) - sums[:, begins]) / np.maximum(in_stretch, 1)
    is_fit = (in_stretch >= _MIN_ACTIVE * lengths[:, None]) & (ends <= (num_frames - turns - _WOBBLE)[:, None])
    means[~is_fit] = 0.0
    places = means.argmax(axis=1)
    return means[np.arange(len(turns)), places], places
