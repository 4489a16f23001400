"""Where each chapter of a narration stands, before and after its end. Knows nothing of how chapters were found."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.contract import keys
from producer.contract.manifest import Manifest, ManifestChapter
from producer.contract.plan import Plan, PlanChapter
from producer.contract.status import STATES_WITH_AUDIO, NarrationStatus, State
from producer.results import read_manifest, read_status
from producer.services import Services

if TYPE_CHECKING:
    from producer.storage import ObjectStore


@dataclass(frozen=True, slots=True)
class ChapterStatus:
    """A snapshot of one chapter."""

    index: int
    title: str
    #: The narration's own, but for chapters that wait or are done while others are not.
    state: State
    #: Span in the original text, in characters.
    start: int
    end: int
    num_segments: int
    num_done: int
    num_failed: int
    num_flagged: int
    #: Seconds from the beginning of the audio; None until it is assembled.
    offset_s: float | None
    #: Seconds of the finished audio, pauses included; None until it is assembled.
    duration_s: float | None


def chapter_statuses(services: Services, narration_id: str) -> list[ChapterStatus]:
    """Return where each chapter stands; see `Client.chapters`."""
    status = read_status(services, narration_id)
    if status.state in STATES_WITH_AUDIO:
        manifest = read_manifest(services, narration_id)
        return [_finished(chapter) for chapter in _chapters_of(manifest)]
    plan = _plan(services.store, narration_id)
    if plan is None:
        return []
    done = services.ledger.takes(narration_id)
    failed = services.ledger.failures(narration_id)
    flagged = {index for index, take in done.items() if take.flags}
    chapters = plan.chapters or (
        PlanChapter(
            title=status.title or "",
            start=0,
            end=plan.num_chars,
            first_segment=0,
            num_segments=len(plan.segments),
        ),
    )
    return [
        _under_way(index, chapter, status, done.keys(), failed.keys(), flagged)
        for index, chapter in enumerate(chapters)
    ]


def _plan(store: ObjectStore, narration_id: str) -> Plan | None:
    from producer.storage import ObjectNotFoundError

    try:
        return Plan.model_validate_json(store.get(keys.plan_key(narration_id)))
    except ObjectNotFoundError:  # not split yet
        return None


def _chapters_of(manifest: Manifest) -> tuple[ManifestChapter, ...]:
    if manifest.chapters or manifest.audio is None:
        return manifest.chapters
    return (
        ManifestChapter(
            index=0,
            title=manifest.title or "",
            start=0,
            end=manifest.num_chars,
            offset_s=0.0,
            duration_s=manifest.audio.duration_s,
            num_segments=len(manifest.segments),
            num_failed=sum(not segment.is_present for segment in manifest.segments),
            num_flagged=sum(bool(segment.flags) for segment in manifest.segments),
        ),
    )


def _finished(chapter: ManifestChapter) -> ChapterStatus:
    if not chapter.num_failed:
        state = State.SUCCEEDED
    else:
        state = State.PARTIAL if chapter.num_failed < chapter.num_segments else State.FAILED
    return ChapterStatus(
        index=chapter.index,
        title=chapter.title,
        state=state,
        start=chapter.start,
        end=chapter.end,
        num_segments=chapter.num_segments,
        num_done=chapter.num_segments - chapter.num_failed,
        num_failed=chapter.num_failed,
        num_flagged=chapter.num_flagged,
        offset_s=chapter.offset_s,
        duration_s=chapter.duration_s,
    )


def _under_way(
    index: int,
    chapter: PlanChapter,
    status: NarrationStatus,
    done: Collection[int],
    failed: Collection[int],
    flagged: Collection[int],
) -> ChapterStatus:
    own = range(chapter.first_segment, chapter.first_segment + chapter.num_segments)
    num_done = sum(segment in done for segment in own)
    num_failed = sum(segment in failed for segment in own)
    state = status.state
    if state is State.RUNNING:
        # The audio exists when all chapters are done; until then one that is has nothing to wait for but them.
        ended = num_done + num_failed
        state = State.FINALIZING if ended == len(own) else State.RUNNING if ended else State.QUEUED
    return ChapterStatus(
        index=index,
        title=chapter.title,
        state=state,
        start=chapter.start,
        end=chapter.end,
        num_segments=len(own),
        num_done=num_done,
        num_failed=num_failed,
        num_flagged=sum(segment in flagged for segment in own),
        offset_s=None,
        duration_s=None,
    )
