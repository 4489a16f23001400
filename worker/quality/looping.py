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


def check_looping(likeness: Likeness, spoken: Spoken) -> Finding | None:
    """Find a piece that is said three times in a row, unless the text does so."""
    if spoken.is_refrain:
        return None
    later = {lag: likeness.later(lag) for lag in range(2, _LONGEST_TURN + _WOBBLE + 1)}
    for turn in range(_SHORTEST_TURN, _LONGEST_TURN + 1):
        length = max(_NUM_TURNS * turn, _SHORTEST_LOOP)
        if likeness.num_frames < length + turn + _WOBBLE:
            break
        mean, place = _best_stretch(_nearest(later, turn), likeness.is_active, length)
        if mean >= _MIN_LIKENESS and mean - later[turn // 2][place : place + length].mean() >= _MIN_CONTRAST:
            return Finding(Flag.LOOPING, 0.8)
    return None


def _nearest(later: dict[int, NDArray[np.float32]], turn: int) -> NDArray[np.float32]:
    """Return the best likeness at lags around a turn, as long as the shortest of them."""
    lags = [later[lag] for lag in range(turn - _WOBBLE, turn + _WOBBLE + 1)]
    shortest = min(len(lag) for lag in lags)
    return np.asarray(np.max([lag[:shortest] for lag in lags], axis=0))


def _best_stretch(values: NDArray[np.float32], is_active: NDArray[np.bool_], length: int) -> tuple[float, int]:
    """Return the highest mean over a stretch that is mostly speech, and where it begins; silent frames do not count."""
    if len(values) < length:
        return 0.0, 0
    sums = _sums(values, length)
    counts = _sums(is_active[: len(values)], length)
    means = np.where(counts >= _MIN_ACTIVE * length, sums / np.maximum(counts, 1), 0.0)
    place = int(means.argmax())
    return float(means[place]), place


def _sums(values: NDArray[np.float32] | NDArray[np.bool_], length: int) -> NDArray[np.float64]:
    """Return the sum of each stretch of that length."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[length:] - total[:-length])
