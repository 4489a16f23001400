"""Whether a take says all of its text twice. Knows nothing of how likeness is measured."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from worker.quality.finding import Finding, Flag
from worker.quality.likeness import Likeness
from worker.quality.spoken import Spoken

#: Where the second time begins, as shares of the speech: in the middle, or later after a pause.
_EARLIEST: Final = 0.48
_LATEST: Final = 0.75
#: Mean likeness of both times, 0 to 1, from which on they are one text. Of 300 intact takes none had more than 0.58
#: (a short one: "His biscuit fetched his biscuit."), of 300 doubled ones none less than 0.80.
_MIN_LIKENESS: Final = 0.69
#: Frames between two lags that are tried; likeness is smooth over three.
_STEP: Final = 2


def check_doubled(likeness: Likeness, spoken: Spoken) -> Finding | None:
    """Find a take whose second half says the first one again, unless the text does so."""
    if spoken.is_doubled:
        return None
    num_frames = likeness.num_frames
    first = max(1, round(_EARLIEST * num_frames))
    num_lags = len(range(first, round(_LATEST * num_frames), _STEP))
    if num_lags == 0:
        return None
    alike = likeness.later(first, num_lags, _STEP).sum(axis=1)
    num_spoken = _frames_spoken(likeness.is_active, first, num_lags)
    if (alike >= _MIN_LIKENESS * np.maximum(1, num_spoken)).any():
        return Finding(Flag.DOUBLED, 0.8)
    return None


def _frames_spoken(is_active: NDArray[np.bool_], first: int, num_lags: int) -> NDArray[np.int64]:
    """Return for each lag at how many frames something is said there or that much later."""
    num_frames = len(is_active)
    padded = np.concatenate([is_active, np.zeros(first + num_lags * _STEP, np.bool_)])
    # Row by row the take that much later; a frame without a later one is not looked at.
    later = sliding_window_view(padded, num_frames)[first : first + num_lags * _STEP : _STEP]
    lags = first + _STEP * np.arange(num_lags)
    has_later = np.arange(num_frames) < num_frames - lags[:, None]
    return np.asarray(((is_active | later) & has_later).sum(axis=1))
