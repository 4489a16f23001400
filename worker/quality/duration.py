"""Whether a take is as long as its text. Knows nothing of how that is learned."""

from __future__ import annotations

import math
from typing import Final

from worker.quality.finding import Finding, Flag
from worker.quality.habits import Expectation
from worker.quality.sound import HOP_S, Sound

#: Standard deviations that a take may be away from what is expected, once the voice is known. Wider above: a voice
#: may dwell on a word, but it cannot leave half of it out.
_MAX_BELOW: Final = 4.2
_MAX_ABOVE: Final = 6.0
#: Of a voice not heard yet: factors of what is expected, and seconds beyond them, which give short texts their room.
_UNKNOWN_FACTOR: Final = 2.0
_UNKNOWN_SLACK_S: Final = 0.4


def check_duration(sound: Sound, expected: Expectation) -> Finding | None:
    """Find a take with much less or more sound in it than its text needs; pauses do not count."""
    sound_s = sound_seconds(sound)
    if expected.spread is None:
        lowest_s = expected.sound_s / _UNKNOWN_FACTOR - _UNKNOWN_SLACK_S
        highest_s = expected.sound_s * _UNKNOWN_FACTOR + _UNKNOWN_SLACK_S
    else:
        # A fixed part too: a single short word is said in half the time or twice as slowly.
        deviation_s = expected.spread * math.sqrt(expected.sound_s)
        lowest_s = expected.sound_s - _MAX_BELOW * deviation_s
        highest_s = expected.sound_s + _MAX_ABOVE * deviation_s + 0.2
    if sound_s < lowest_s:
        return Finding(Flag.TOO_SHORT, _weight(1.0 - sound_s / expected.sound_s))
    if sound_s > highest_s:
        return Finding(Flag.TOO_LONG, _weight(sound_s / expected.sound_s - 1.0))
    return None


def sound_seconds(sound: Sound) -> float:
    """Return the seconds of a take in which there is sound."""
    return float(sound.is_active.sum()) * HOP_S


def _weight(deviation: float) -> float:
    return min(0.95, 0.3 + 0.7 * deviation)
