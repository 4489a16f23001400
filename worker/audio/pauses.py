"""How long the silence after a segment is. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from producer.contract.plan import Boundary, Plan, Segment

#: Milliseconds of silence between two takes whose own silence is trimmed. Readers of audiobooks take a third of a
#: second and more after a sentence and twice that after a paragraph; the margins of the takes add a tenth to each.
PAUSES_MS: Final = {
    Boundary.CLAUSE: 120,  # a breath: the sentence goes on, and longer would sound like its end
    Boundary.SENTENCE: 300,
    Boundary.PARAGRAPH: 700,
    Boundary.HEADING: 1_000,  # long enough to tell a title from the text around it
    Boundary.CHAPTER: 2_000,  # long enough to tell that something has ended
    Boundary.END: 500,  # many players cut off the last tenths of a file
}


def pauses_samples(plan: Plan, present: Container[int], rate_hz: int) -> dict[int, int]:
    """Return index -> silent samples after each segment that is present.

    A pause that a mark in the text asks for replaces the boundary's. What is missing takes no room, but a boundary
    behind it is still one: of all pauses up to the next segment that is there, the longest remains.
    """
    pauses = {}
    longest = 0
    for segment in reversed(plan.segments):
        longest = max(longest, _samples_after(segment, rate_hz))
        if segment.index in present:
            pauses[segment.index] = longest
            longest = 0
    return pauses


def _samples_after(segment: Segment, rate_hz: int) -> int:
    if segment.pause_after_s is not None:
        return round(segment.pause_after_s * rate_hz)
    return PAUSES_MS[segment.boundary] * rate_hz // 1_000
