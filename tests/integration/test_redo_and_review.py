"""Hearing what is suspicious and speaking it once more: the client and the command line, with real Redis and S3."""

from __future__ import annotations

import json
import urllib.request

import pytest
from ledgerwork import audio, complete, fail_for_good, granted

from producer import Client, Narration, NarrationUnfinishedError, State
from producer.cli.application import main
from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.errors import RedoRefusedError
from producer.contract.exitcode import ExitCode
from producer.contract.manifest import Manifest, ManifestChapter, ManifestSegment
from producer.contract.narration import NarrationRequest, Redo
from producer.contract.plan import Boundary, Plan, PlanChapter, Segment
from producer.ledger import Ledger
from producer.storage import ObjectStore

pytestmark = pytest.mark.integration

TEXTS = ("The lamp was lit.", "Nobody came.", "It went out.")
TEXT = " ".join(TEXTS)
STARTS = (0, 18, 31)


@pytest.fixture
def client(settings):
    with Client(settings) as made:
        yield made


@pytest.fixture
def ledger(settings) -> Ledger:
    return Ledger(connect_redis(settings), settings)


def plan_of(narration_id: str) -> Plan:
    segments = [
        Segment(
            index=index,
            text=text,
            start=STARTS[index],
            end=STARTS[index] + len(text),
            boundary=Boundary.SENTENCE,
            chapter=int(index > 1),
        )
        for index, text in enumerate(TEXTS)
    ]
    chapters = (
        PlanChapter(title="Light", start=0, end=31, first_segment=0, num_segments=2),
        PlanChapter(title="Dark", start=31, end=43, first_segment=2, num_segments=1),
    )
    return Plan(narration_id=narration_id, text_sha256="0" * 64, num_chars=43, segments=segments, chapters=chapters)


def planned(ledger: Ledger, store: ObjectStore, narration_id: str) -> None:
    store.put(keys.plan_key(narration_id), plan_of(narration_id).model_dump_json().encode(), "application/json")
    assert ledger.planned(narration_id, granted(ledger, narration_id, "plan"), 3).is_accepted


def finish(ledger: Ledger, store: ObjectStore, narration_id: str) -> None:
    """End a narration whose second segment is flagged and whose third has failed."""
    planned(ledger, store, narration_id)
    complete(ledger, narration_id, [0, 1])
    fail_for_good(ledger, narration_id, "2")
    store.put("segments/ab/abc.flac", b"sound", "audio/flac")
    segments = [
        ManifestSegment(
            index=index,
            start=STARTS[index],
            end=STARTS[index] + len(text),
            boundary=Boundary.SENTENCE,
            is_present=index < 2,
            key="segments/ab/abc.flac" if index < 2 else None,
            chapter=int(index > 1),
            offset_samples=index * 24_000,
            num_samples=24_000,
            pause_after_samples=0,
            offset_s=float(index),
            duration_s=1.0,
            attempts=1,
            flags=("too_long", "trailing_noise") if index == 1 else (),
            score=0.4 if index == 1 else 1.0,
            error_code="synthesis_failed" if index == 2 else None,
        )
        for index, text in enumerate(TEXTS)
    ]
    chapters = [
        ManifestChapter(
            index=0, title="Light", start=0, end=31, offset_s=0.0, duration_s=2.0, num_segments=2, num_failed=0,
            num_flagged=1,
        ),
        ManifestChapter(
            index=1, title="Dark", start=31, end=43, offset_s=2.0, duration_s=0.0, num_segments=1, num_failed=1,
            num_flagged=0,
        ),
    ]  # fmt: skip
    manifest = Manifest(
        narration_id=narration_id,
        custom_id=None,
        title=None,
        state=State.PARTIAL,
        engine_identity="tone",
        is_watermarked=False,
        voice="default",
        voice_sha256=None,
        language="en",
        text_sha256="0" * 64,
        num_chars=43,
        created_at="2026-01-01T00:00:00Z",
        audio=audio(),
        chapters=chapters,
        segments=segments,
    )
    store.put(keys.manifest_key(narration_id), manifest.model_dump_json().encode(), "application/json")
    token = granted(ledger, narration_id, "assemble")
    assert ledger.commit(narration_id, token, state=State.PARTIAL, audio=audio())


@pytest.fixture
def finished(client, ledger, store) -> str:
    narration_id = client.submit(Narration(text=TEXT, idempotency_key="lamp", title="The lamp")).id
    finish(ledger, store, narration_id)
    return narration_id


def request_of(ledger: Ledger, store: ObjectStore, narration_id: str) -> NarrationRequest:
    return NarrationRequest.model_validate_json(store.get(ledger.record(narration_id).request_ref))


def test_redone_segments_become_a_narration_of_their_own(client, ledger, store, finished):
    job, again = client.redo(finished, [1, 2]), client.redo(finished, [2, 1])
    assert (job.is_new, again.is_new, again.id) == (True, False, job.id)
    status = job.status()
    assert (status.state, status.redo_of, status.retry_of, status.title) == (State.QUEUED, finished, None, "The lamp")
    request = request_of(ledger, store, job.id)
    assert request.redone == {1: Redo(take=1), 2: Redo(take=1)}
    assert request.narration.text == TEXT
    assert client.status(finished).state is State.PARTIAL


def test_a_new_text_and_a_third_take_come_on_top_of_what_was_redone(client, ledger, store, finished):
    first = client.redo(finished, {1: "No one came."})
    # As the planner leaves it behind: the plan of before, with the new take in it.
    plan = plan_of(first.id)
    redone = plan.segments[1].model_copy(update={"take": 1, "text": "No one came."})
    plan = plan.model_copy(update={"segments": (plan.segments[0], redone, plan.segments[2])})
    finish(ledger, store, first.id)
    store.put(keys.plan_key(first.id), plan.model_dump_json().encode(), "application/json")
    second = client.redo(first.id, [1])
    assert second.id != first.id
    assert request_of(ledger, store, second.id).redone == {1: Redo(take=2, text="No one came.")}


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([], "no segment is named"),
        ([3], "segments 0 to 2, and no 3"),
        ([-1], "no -1"),
        ({1: "..."}, "no letter and no digit"),
        ({1: "a" * 1_001}, "1001 characters"),
    ],
)
def test_segments_that_cannot_be_redone_are_named_and_nothing_is_queued(client, finished, segments, said):
    before = len(client.list())
    with pytest.raises(RedoRefusedError, match=said):
        client.redo(finished, segments)
    assert len(client.list()) == before


def test_what_is_under_way_cannot_be_redone_or_reviewed(client):
    job = client.submit(Narration(text=TEXT))
    with pytest.raises(RedoRefusedError, match="is queued and has no audio"):
        client.redo(job.id, [0])
    with pytest.raises(NarrationUnfinishedError):
        client.review(job.id)


def test_the_review_names_what_is_flagged_or_missing_and_where_to_hear_it(client, finished):
    flagged, missing = client.review(finished)
    assert (flagged.index, flagged.text, flagged.reasons) == (1, TEXTS[1], ("too_long", "trailing_noise"))
    assert (flagged.score, flagged.offset_s, flagged.is_present) == (0.4, 1.0, True)
    with urllib.request.urlopen(flagged.url) as response:
        assert response.read() == b"sound"
    assert (missing.index, missing.chapter, missing.reasons, missing.url) == (2, 1, ("synthesis_failed",), None)


def test_chapters_tell_where_they_stand_before_and_after_the_end(client, ledger, store):
    job = client.submit(Narration(text=TEXT))
    assert client.chapters(job.id) == []
    planned(ledger, store, job.id)
    assert [(each.title, each.state) for each in client.chapters(job.id)] == [
        ("Light", State.QUEUED),
        ("Dark", State.QUEUED),
    ]
    complete(ledger, job.id, [0, 2])
    assert [(each.state, each.num_done) for each in client.chapters(job.id)] == [
        (State.RUNNING, 1),
        (State.FINALIZING, 1),
    ]


def test_chapters_of_finished_audio_have_their_places_in_it(client, finished):
    light, dark = client.chapters(finished)
    assert (light.state, light.num_done, light.num_flagged, light.offset_s, light.duration_s) == (
        State.SUCCEEDED, 2, 1, 0.0, 2.0,
    )  # fmt: skip
    assert (dark.state, dark.num_failed, dark.start, dark.end) == (State.FAILED, 1, 31, 43)


def test_the_command_line_reviews_redoes_and_lists_chapters(client, finished, capsys):
    assert main(["review", finished]) == ExitCode.OK
    printed = capsys.readouterr()
    assert "too_long, trailing_noise" in printed.out
    assert f"chatterqueue redo {finished} --segments 1,2" in printed.err
    assert main(["redo", finished, "--segments", "1-2", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert (document["redo_of"], document["segments"], document["is_new"]) == (finished, [1, 2], True)
    assert main(["redo", finished, "--segments", "7"]) == ExitCode.INVALID_INPUT
    assert "segments 0 to 2, and no 7" in capsys.readouterr().err
    assert main(["status", finished, "--chapters"]) == ExitCode.OK
    assert "Light" in capsys.readouterr().out
