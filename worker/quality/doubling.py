"""Whether a take says all of its text twice. Knows nothing of how likeness is measured."""

from __future__ import annotations

from typing import Final

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
    num_frames, is_active = likeness.num_frames, likeness.is_active
    for lag in range(max(1, round(_EARLIEST * num_frames)), round(_LATEST * num_frames), _STEP):
        num_spoken = int((is_active[:-lag] | is_active[lag:]).sum())
        if float(likeness.later(lag).sum()) >= _MIN_LIKENESS * max(1, num_spoken):
            return Finding(Flag.DOUBLED, 0.8)
    return None
