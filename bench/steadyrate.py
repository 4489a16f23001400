"""How fast a run was, seen from the ends of its segments.

Segments end in batches of a hundred, so a rate between two of those ends would be off by a batch; the slope of a line
through all of them is not. Knows nothing of what a segment is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np

#: When a segment ended, in seconds of any clock, and its seconds of audio.
Point = tuple[float, float]


def rate(points: Sequence[Point]) -> float | None:
    """Return audio seconds per second: the slope of the line, by least squares, through the audio up to each end.

    Args:
        points: in any order.

    Returns:
        None if all ended at the same moment.
    """
    ordered = sorted(points)
    times_s = np.array([at_s for at_s, _ in ordered])
    if len(ordered) < 2 or times_s[0] == times_s[-1]:
        return None
    so_far_s = np.array(list(accumulate(audio_s for _, audio_s in ordered)))
    return float(np.polyfit(times_s - times_s[0], so_far_s, 1)[0])


def steady_rate(points: Iterable[Point]) -> float | None:
    """Return the rate between the first and the last fifth of the segments: no slots that fill, none that run empty.

    Returns:
        None of fewer than five segments.
    """
    ordered = sorted(points)
    fifth = len(ordered) // 5
    found = rate(ordered[fifth : len(ordered) - fifth]) if fifth else None
    return None if found is None else round(found, 2)
