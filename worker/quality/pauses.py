"""Whether a take falls silent in the middle of its text. Knows nothing of texts."""

from __future__ import annotations

from typing import Final

import numpy as np

from worker.quality.finding import Finding, Flag
from worker.quality.sound import HOP_S, Sound

#: Seconds of quiet between two words that no voice takes within one segment; between two sentences 0.8 were measured.
MAX_PAUSE_S: Final = 1.3


def check_pauses(sound: Sound) -> Finding | None:
    """Find a long silence between the first word and the last."""
    active = np.flatnonzero(sound.is_active)
    if len(active) < 2:
        return None
    pause_s = float(np.diff(active).max() - 1) * HOP_S
    return Finding(Flag.LONG_PAUSE, min(0.9, 0.2 + 0.1 * pause_s)) if pause_s > MAX_PAUSE_S else None
