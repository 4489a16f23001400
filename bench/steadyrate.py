"""How fast a run was without its beginning, in which slots fill, and its end, in which they run empty."""

from __future__ import annotations

from collections.abc import Iterable


def steady_rate(points: Iterable[tuple[float, float]]) -> float | None:
    """Return audio seconds per second between the first and the last fifth of the segments.

    Args:
        points: of each segment, when it ended, in seconds, and its seconds of audio; in any order.

    Returns:
        None of fewer than five segments.
    """
    ordered = sorted(points)
    fifth = len(ordered) // 5
    if fifth < 1:
        return None
    # What ended after `begun_s` and until `ended_s`, both of them ends of segments.
    first, last = fifth - 1, len(ordered) - fifth
    begun_s, ended_s = ordered[first][0], ordered[last][0]
    audio_s = sum(seconds for _, seconds in ordered[first + 1 : last + 1])
    return round(audio_s / max(ended_s - begun_s, 1e-9), 1)
