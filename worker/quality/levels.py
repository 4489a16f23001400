"""Whether a take can be heard as it should: that there is sound, loud enough, and not cut off at the top.

Knows nothing of words.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.quality.finding import Finding, Flag
from worker.quality.sound import Sound

#: dBFS of the loud parts, below which nobody speaks: 16-bit silence lies at -98, the hiss of a vocoder around -75.
_SILENT_BELOW_DB: Final = -60.0
#: dBFS below which a raise to the usual loudness would bring up noise; speech lies at -30 to -12.
_QUIET_BELOW_DB: Final = -46.0

#: A sample is at the top if it is this near to the loudest one, and that one is no whisper; a top is flat if several
#: in a row are there. Speech touches its loudest sample once or twice in a take.
_TOP_SHARE: Final = 0.999
_LOUD_PEAK: Final = 0.5
_FLAT_SAMPLES: Final = 3
#: Share of the samples in flat tops from which on it is heard; an intact take has a few
#: such samples by chance, 6 dB too much brings 0.04 % and more.
_MAX_FLAT_SHARE: Final = 0.0002


def check_finite(pcm: NDArray[np.float32]) -> Finding | None:
    """Find samples that are no numbers; nothing else may be asked of such a take. pcm: [num_samples]."""
    return None if np.isfinite(pcm).all() else Finding(Flag.NOT_FINITE, 1.0)


def check_loudness(sound: Sound) -> Finding | None:
    """Find silence, and speech that is next to it."""
    if sound.speech_db < _SILENT_BELOW_DB:
        return Finding(Flag.SILENT, 1.0)
    return Finding(Flag.TOO_QUIET, 0.3) if sound.speech_db < _QUIET_BELOW_DB else None


def check_clipping(sound: Sound) -> Finding | None:
    """Find flat tops."""
    loudness = np.abs(sound.pcm)
    peak = float(loudness.max())
    if peak < _LOUD_PEAK:
        return None
    tops = np.flatnonzero(loudness >= _TOP_SHARE * peak)
    lengths = np.diff(np.flatnonzero(np.diff(tops, prepend=-2, append=len(loudness) + 1) > 1))
    share = float(lengths[lengths >= _FLAT_SAMPLES].sum()) / len(loudness)
    if share <= _MAX_FLAT_SHARE:
        return None
    return Finding(Flag.CLIPPED, min(0.9, 0.3 + 10 * share))
