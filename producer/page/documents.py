"""What the page's API answers, as plain values: pure functions of statuses, plans and manifests.

Knows nothing of where those come from. A field that says nothing (no flag, no error) is left out: a book has thousands
of segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from producer.contract.manifest import Manifest, ManifestSegment, TakeFacts
from producer.contract.plan import Plan, Segment
from producer.contract.status import STATES_WITH_AUDIO, NarrationStatus

#: Of a status, what the browser is told as it is; the rest is `summary`'s own.
_FIELDS: Final = {
    "id", "state", "title", "custom_id", "batch_id", "retry_of", "redo_of", "language", "voice", "engine", "format",
    "reason_code", "reason", "num_chars", "num_segments", "num_done", "num_failed", "num_reused", "num_flagged",
    "audio_s", "duration_s", "size_bytes", "created_at", "started_at", "finished_at",
}  # fmt: skip

Document = dict[str, Any]


def summary(status: NarrationStatus, now: datetime | None = None) -> Document:
    """Return where a narration stands, and how fast it goes."""
    eta_s = status.eta_s(now)
    speed = status.real_time_factor(now)
    return {
        **status.model_dump(mode="json", include=_FIELDS),
        "has_ended": status.state.is_terminal,
        "has_audio": status.state in STATES_WITH_AUDIO and status.size_bytes is not None,
        "progress": round(status.progress, 4),
        "elapsed_s": round(status.elapsed_s(now), 3),
        "eta_s": None if eta_s is None else round(eta_s, 1),
        "real_time_factor": None if speed is None else round(speed, 2),
    }


def chapters(plan: Plan, manifest: Manifest | None) -> list[Document]:
    """Return the chapters in order; where they are in the audio, if there is any."""
    places = {chapter.index: chapter for chapter in manifest.chapters} if manifest else {}
    return [
        {
            "index": index,
            "title": chapter.title,
            "first_segment": chapter.first_segment,
            "num_segments": chapter.num_segments,
            **(
                places[index].model_dump(include={"offset_s", "duration_s", "num_failed", "num_flagged"})
                if index in places
                else {}
            ),
        }
        for index, chapter in enumerate(plan.chapters)
    ]


def finished_segments(plan: Plan, manifest: Manifest) -> list[Document]:
    """Return each segment with its text and its place in the finished audio."""
    places = {segment.index: segment for segment in manifest.segments}
    return [{**_said(segment), **_place(places.get(segment.index))} for segment in plan.segments]


def unfinished_segments(
    plan: Plan, *, done: Iterable[int], takes: Mapping[int, TakeFacts], failures: Mapping[int, tuple[str, str]]
) -> list[Document]:
    """Return each segment with its text and how far it is, before there is an audio to have a place in."""
    is_done = set(done) | takes.keys()
    documents = []
    for segment in plan.segments:
        document = _said(segment)
        take = takes.get(segment.index)
        if segment.index in is_done:
            document |= {"state": "done", **(_found(take.flags, take.score) if take else {})}
        elif segment.index in failures:
            code, reason = failures[segment.index]
            document |= {"state": "failed", "error_code": code, "error": reason}
        documents.append(document)
    return documents


def spans(indexes: Iterable[int]) -> list[list[int]]:
    """Return numbers as stretches `[first, last]`: of a book that is half done, a few instead of thousands."""
    found: list[list[int]] = []
    for index in sorted(indexes):
        if found and index == found[-1][1] + 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return found


def _said(segment: Segment) -> Document:
    document: Document = {"text": segment.text, "boundary": segment.boundary.value, "state": "waiting"}
    return document | ({"voice": segment.voice} if segment.voice else {})


def _place(segment: ManifestSegment | None) -> Document:
    if segment is None or not segment.is_present:
        code, error = (segment.error_code, segment.error) if segment else (None, None)
        offset = {"offset_s": segment.offset_s} if segment else {}
        return {"state": "failed", "error_code": code, "error": error, **offset}
    return {
        "state": "done",
        "offset_s": segment.offset_s,
        "duration_s": segment.duration_s,
        **_found(segment.flags, segment.score),
    }


def _found(flags: tuple[str, ...], score: float | None) -> Document:
    """Return what the quality gate found: the score only beside a flag, as nobody looks at the others."""
    return {"flags": list(flags), "score": score} if flags else {}
