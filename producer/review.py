"""What somebody should listen to in a finished narration: segments that failed, or that the quality gate flagged.

Knows nothing of how a take is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producer.contract.manifest import ManifestSegment
from producer.redoing import read_plan
from producer.results import MAX_URL_LIFE_S, read_manifest
from producer.services import Services

#: Seconds that the link to a segment lives: a day of listening.
LINK_LIFE_S: Final = 24 * 3600
assert LINK_LIFE_S <= MAX_URL_LIFE_S


@dataclass(frozen=True, slots=True)
class ReviewSegment:
    """A segment to listen to."""

    index: int
    #: Index of its chapter.
    chapter: int
    #: What is spoken.
    text: str
    #: Why: the flags of the quality gate, or the code of the error for which it is not in the audio.
    reasons: tuple[str, ...]
    #: 0 to 1, the higher the better; None if there is no take or it was not checked.
    score: float | None
    is_present: bool
    #: Seconds from the beginning of the audio.
    offset_s: float
    duration_s: float
    #: Where it can be heard, for a day; None if there is no take.
    url: str | None


def review(services: Services, narration_id: str) -> list[ReviewSegment]:
    """Return the segments of a finished narration that are flagged or missing; see `Client.review`."""
    manifest = read_manifest(services, narration_id)
    suspicious = [segment for segment in manifest.segments if segment.flags or not segment.is_present]
    if not suspicious:
        return []
    plan = read_plan(services, narration_id)
    return [_listed(services, segment, plan.segments[segment.index].text) for segment in suspicious]


def _listed(services: Services, segment: ManifestSegment, text: str) -> ReviewSegment:
    url = None
    if segment.key is not None:
        url = services.store.presign(segment.key, LINK_LIFE_S, filename=f"segment-{segment.index}.flac")
    return ReviewSegment(
        index=segment.index,
        chapter=segment.chapter,
        text=text,
        reasons=segment.flags or (segment.error_code or "missing",),
        score=segment.score,
        is_present=segment.is_present,
        offset_s=segment.offset_s,
        duration_s=segment.duration_s,
        url=url,
    )
