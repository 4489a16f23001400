"""What the page's API says of statuses, plans and manifests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.manifest import Manifest, ManifestChapter, ManifestSegment, TakeFacts
from producer.contract.plan import Boundary, Plan, PlanChapter, Segment
from producer.contract.status import NarrationStatus, State
from producer.page import documents

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(
    narration_id="a" * 26,
    text_sha256="0" * 64,
    num_chars=12,
    segments=tuple(
        Segment(index=at, text=f"Text {at}.", start=at, end=at + 1, boundary=Boundary.SENTENCE) for at in range(3)
    ),
    chapters=(
        PlanChapter(title="One", start=0, end=2, first_segment=0, num_segments=2),
        PlanChapter(title="Two", start=2, end=3, first_segment=2, num_segments=1),
    ),
)


def status(**fields: object) -> NarrationStatus:
    defaults = {
        "id": "a" * 26, "state": State.RUNNING, "engine": "tone", "voice": "default", "language": "en",
        "format": "mp3", "priority": "normal", "num_chars": 12, "num_segments": 4, "num_done": 1,
        "created_at": BEGAN, "started_at": BEGAN,
    }  # fmt: skip
    return NarrationStatus.model_validate({**defaults, **fields})


def take(**fields: object) -> TakeFacts:
    defaults = {
        "key": "k", "num_samples": 8_000, "sample_rate_hz": 8_000, "seed": 1, "is_reused": False, "synthesis_s": 1.0,
        "worker": "w",
    }  # fmt: skip
    return TakeFacts.model_validate({**defaults, **fields})


def manifest_of(*segments: ManifestSegment, chapters: tuple[ManifestChapter, ...] = ()) -> Manifest:
    return Manifest(
        narration_id="a" * 26, custom_id=None, title=None, state=State.PARTIAL, engine_identity=None,
        is_watermarked=False, voice="default", voice_sha256=None, language="en", text_sha256="0" * 64, num_chars=12,
        created_at=BEGAN, audio=None, segments=segments, chapters=chapters,
    )  # fmt: skip


def placed(index: int, **fields: object) -> ManifestSegment:
    defaults = {
        "index": index, "start": index, "end": index + 1, "boundary": Boundary.SENTENCE, "is_present": True,
        "offset_samples": 0, "num_samples": 8_000, "pause_after_samples": 0, "offset_s": float(index),
        "duration_s": 1.0, "attempts": 1,
    }  # fmt: skip
    return ManifestSegment.model_validate({**defaults, **fields})


def test_a_summary_says_how_far_and_how_fast():
    told = documents.summary(status(audio_s=6.0), BEGAN + timedelta(seconds=2))

    assert (told["progress"], told["eta_s"], told["real_time_factor"], told["elapsed_s"]) == (0.25, 6.0, 3.0, 2.0)
    assert (told["state"], told["has_ended"], told["has_audio"]) == ("running", False, False)
    assert told["created_at"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("state", "size_bytes", "has_audio"),
    [(State.SUCCEEDED, 1, True), (State.PARTIAL, 1, True), (State.FAILED, None, False), (State.CANCELLED, None, False)],
)
def test_only_what_has_audio_says_so(state, size_bytes, has_audio):
    assert documents.summary(status(state=state, size_bytes=size_bytes))["has_audio"] is has_audio


def test_chapters_have_their_place_once_there_is_an_audio():
    place = ManifestChapter(
        index=1, title="Two", start=2, end=3, offset_s=2.5, duration_s=1.0, num_segments=1, num_failed=0, num_flagged=1
    )
    before, after = documents.chapters(PLAN, None), documents.chapters(PLAN, manifest_of(chapters=(place,)))

    assert before[1] == {"index": 1, "title": "Two", "first_segment": 2, "num_segments": 1}
    assert after[0] == before[0]
    assert after[1] == {**before[1], "offset_s": 2.5, "duration_s": 1.0, "num_failed": 0, "num_flagged": 1}


def test_a_finished_segment_is_text_and_place_and_a_flag_only_if_there_is_one():
    missing = placed(1, is_present=False, error_code="poisoned", error="why")
    flagged = placed(2, flags=("clipping",), score=0.5)
    first, second, third = documents.finished_segments(PLAN, manifest_of(placed(0), missing, flagged))

    assert first == {"text": "Text 0.", "boundary": "sentence", "state": "done", "offset_s": 0.0, "duration_s": 1.0}
    assert (second["state"], second["error_code"], second["error"], second["offset_s"]) == (
        "failed", "poisoned", "why", 1.0,
    )  # fmt: skip
    assert (third["flags"], third["score"]) == (["clipping"], 0.5)


def test_a_segment_that_the_manifest_does_not_know_has_failed():
    *_, last = documents.finished_segments(PLAN, manifest_of(placed(0), placed(1)))

    assert (last["state"], last["error_code"]) == ("failed", None)


def test_before_the_end_a_segment_is_done_failed_or_waits():
    told = documents.unfinished_segments(
        PLAN, done={0}, takes={0: take(flags=("clipping",), score=0.5)}, failures={1: ("no_end", "why")}
    )

    assert [segment["state"] for segment in told] == ["done", "failed", "waiting"]
    assert told[0]["flags"] == ["clipping"]
    assert told[1]["error_code"] == "no_end"


@given(st.sets(st.integers(0, 60)))
def test_spans_are_the_same_numbers_in_as_few_stretches_as_can_be(indexes):
    spans = documents.spans(indexes)

    assert {index for first, last in spans for index in range(first, last + 1)} == indexes
    assert all(earlier[1] + 1 < later[0] for earlier, later in pairwise(spans))
