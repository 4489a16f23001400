from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from workerfakes import NARRATION_ID, RATE_HZ, FakeLedger, FakeMessenger, dispatch, plan_of, request_of, store_with

from producer.contract.chapter import Chapter
from producer.contract.keys import audio_key, chapter_audio_key, cover_key, manifest_key, subtitles_key, takes_key
from producer.contract.loudness import LoudnessFacts, LoudnessPreset, LoudnessTarget
from producer.contract.manifest import AudioObject, Manifest, ManifestChapter, ManifestSegment, TakeFacts, Usage
from producer.contract.narration import AudioFormat
from producer.contract.plan import PlanChapter
from producer.contract.status import State
from worker.errors import SegmentsUnusableError
from worker.narration.assembling import Assembler
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook

AUDIO = AudioObject(
    key=audio_key(NARRATION_ID, AudioFormat.MP3),
    format="mp3",
    content_type="audio/mpeg",
    size_bytes=9,
    sha256="0" * 64,
    sample_rate_hz=RATE_HZ,
    num_samples=RATE_HZ,
    duration_s=1.0,
)


def take(*, is_watermarked: bool = True) -> TakeFacts:
    return TakeFacts(
        key="segments/aa/a.flac",
        num_samples=RATE_HZ,
        sample_rate_hz=RATE_HZ,
        seed=1,
        is_reused=False,
        is_watermarked=is_watermarked,
        synthesis_s=1.0,
        worker="host:1",
    )


SUBTITLE_KEYS = [subtitles_key(NARRATION_ID, suffix) for suffix in ("srt", "vtt", "json")]
CHAPTER_KEYS = [chapter_audio_key(NARRATION_ID, index, AudioFormat.MP3) for index in range(2)]
FACTS = LoudnessFacts(target_lufs=-19.0, measured_lufs=-26.0, gain_db=7.0, integrated_lufs=-19.0, true_peak_dbtp=-3.2)


def placed(segment, takes):
    """Return where the fake assembly says that a segment is: each half a second, one after the other."""
    return ManifestSegment(
        index=segment.index,
        start=segment.start,
        end=segment.end,
        boundary=segment.boundary,
        is_present=segment.index in takes,
        offset_samples=segment.index * RATE_HZ // 2,
        num_samples=RATE_HZ // 2,
        pause_after_samples=0,
        offset_s=segment.index * 0.5,
        duration_s=0.5,
        attempts=1,
    )


def assemble_with(
    ledger, *, audio=AUDIO, act=lambda progress: None, messenger=None, asked=None, objects=None, **fields
):
    """Run an assembly of two segments, each a chapter; `act` gets the progress callback after the first chapter.

    What the use case asks the assembly for is put into `asked`; `fields` are those of the narration.
    """
    chapters = (Chapter(title="I", start=0), Chapter(title="II", start=5))
    request = request_of(**{"chapters": chapters, **fields})
    plan = plan_of("One.", "Two.").model_copy(update={"chapters": PLAN_CHAPTERS})
    store = store_with(request, plan)
    store.objects.update(objects or {})

    def assemble(plan, takes, failures, attempts, its_store, *, progress, **wanted):
        (asked if asked is not None else {}).update(wanted)
        if wanted["has_chapter_files"]:
            its_store.objects[CHAPTER_KEYS[0]] = b"whole"
        act(progress)
        if wanted["has_chapter_files"]:
            its_store.objects[CHAPTER_KEYS[1]] = b"whole"
        its_store.objects[AUDIO.key] = b"whole"
        segments = tuple(placed(segment, takes) for segment in plan.segments)
        return SimpleNamespace(audio=audio, segments=segments, chapters=MANIFEST_CHAPTERS, loudness=FACTS, words={})

    drain = Drain(0.0)
    attempts = Attempts(
        ledger=ledger,
        messenger=messenger or FakeMessenger(),
        book=LeaseBook(),
        drain=drain,
        worker="host:1",
        end_process=lambda reason: None,
    )
    Assembler(attempts=attempts, ledger=ledger, store=store, assemble=assemble).run(NARRATION_ID)
    return store


PLAN_CHAPTERS = tuple(
    PlanChapter(title=title, start=5 * index, end=5 * index + 4, first_segment=index, num_segments=1)
    for index, title in enumerate(("I", "II"))
)
MANIFEST_CHAPTERS = tuple(
    ManifestChapter(
        index=index,
        title=chapter.title,
        start=chapter.start,
        end=chapter.end,
        offset_s=index * 0.5,
        duration_s=0.5,
        num_segments=1,
        num_failed=0,
        num_flagged=0,
    )
    for index, chapter in enumerate(PLAN_CHAPTERS)
)


def test_a_narration_has_succeeded_when_no_segment_failed():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()})
    store = assemble_with(ledger)
    commit = ledger.last("commit")
    assert commit["state"] is State.SUCCEEDED
    assert commit["audio"] == AUDIO
    manifest = Manifest.model_validate_json(store.objects[manifest_key(NARRATION_ID)])
    assert manifest.state is State.SUCCEEDED
    assert manifest.is_watermarked
    assert manifest.engine_identity == "fake/1"
    assert (manifest.loudness, manifest.chapters) == (FACTS, MANIFEST_CHAPTERS)
    assert manifest.usage == Usage(engine_s=2.0, audio_s=2.0, ratio=1.0)
    assert store.objects[takes_key(NARRATION_ID)] == b'{"event": "claimed", "item": "0"}\n'


def test_a_narration_is_partial_and_says_why_when_some_segments_failed():
    ledger = FakeLedger(stored_takes={0: take()}, stored_failures={1: ("synthesis", "it stuttered")})
    assemble_with(ledger)
    commit = ledger.last("commit")
    assert commit["state"] is State.PARTIAL
    assert commit["reason_code"] == "synthesis"
    assert commit["reason"] == "1 of 2 segments failed, the first because: it stuttered"


def test_a_narration_has_failed_when_every_segment_did():
    ledger = FakeLedger(stored_failures={0: ("synthesis", "it stuttered"), 1: ("synthesis", "again")})
    assemble_with(ledger, audio=None)
    assert ledger.last("commit")["state"] is State.FAILED
    assert ledger.last("commit")["audio"] is None


def test_the_manifest_says_what_the_speech_has_cost_without_what_was_in_the_cache():
    made = take().model_copy(update={"synthesis_s": 0.5, "num_samples": 48_000, "sample_rate_hz": 24_000})
    reused = made.model_copy(update={"is_reused": True, "synthesis_s": 0.0})
    for takes, expected in (
        ({0: made, 1: made, 2: reused}, Usage(engine_s=1.0, audio_s=4.0, ratio=4.0)),
        ({0: reused}, Usage(engine_s=0.0, audio_s=0.0, ratio=None)),
    ):
        assert Usage.of(takes.values()) == expected
    assert Usage.of([], "chatterbox-0.1.7/english/abc/int8").precision == "int8"
    assert Usage.of([], "draft-1/0.2").precision is None


def test_the_manifest_claims_no_watermark_when_one_take_has_none():
    ledger = FakeLedger(stored_takes={0: take(), 1: take(is_watermarked=False)})
    store = assemble_with(ledger)
    assert not Manifest.model_validate_json(store.objects[manifest_key(NARRATION_ID)]).is_watermarked


@pytest.mark.parametrize(("state", "is_left"), [(State.CANCELLED, False), (State.SUCCEEDED, True)])
def test_the_audio_is_removed_when_the_narration_was_cancelled_meanwhile(state, is_left):
    ledger = FakeLedger(stored_takes={0: take(), 1: take()}, is_committed=False, state=state)
    store = assemble_with(ledger, chapter_files=True)
    for key in (AUDIO.key, manifest_key(NARRATION_ID), *CHAPTER_KEYS, *SUBTITLE_KEYS):
        assert (key in store.objects) == is_left


def test_a_long_assembly_stops_when_its_lease_is_lost():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()})

    def lose(progress):
        lease = progress.__closure__[0].cell_contents
        lease.is_lost = True
        progress(1, 2)

    store = assemble_with(ledger, act=lose)
    assert ledger.names() == ["claim"]
    assert AUDIO.key not in store.objects


@pytest.mark.parametrize(("state", "is_left"), [(State.EXPIRED, False), (State.FINALIZING, True)])
def test_the_files_of_chapters_are_removed_when_the_narration_ended_in_the_middle(state, is_left):
    """Not so when another worker has taken the assembly over: it writes the same bytes under the same keys."""
    ledger = FakeLedger(stored_takes={0: take(), 1: take()}, state=state)

    def lose(progress):
        progress.__closure__[0].cell_contents.is_lost = True
        progress(1, 2)

    store = assemble_with(ledger, act=lose, chapter_files=True)
    assert (CHAPTER_KEYS[0] in store.objects) == is_left
    assert CHAPTER_KEYS[1] not in store.objects


def test_what_the_narration_wants_reaches_the_assembly():
    cover = "5" * 64
    asked = {}
    assemble_with(
        FakeLedger(stored_takes={0: take(), 1: take()}),
        asked=asked,
        objects={cover_key(cover): b"a picture"},
        title="The Lamp",
        author="A. Hale",
        cover=cover,
        format=AudioFormat.OPUS,
        chapter_files=True,
        loudness=LoudnessPreset.PODCAST,
    )
    tags = asked.pop("tags")
    assert asked == {
        "audio_format": AudioFormat.OPUS,
        "loudness": LoudnessTarget(-16.0, -1.0),
        "earlier_gain_db": None,
        "has_chapter_files": True,
    }
    assert (tags.title, tags.author, tags.cover, tags.language) == ("The Lamp", "A. Hale", b"a picture", "en")
    assert (tags.engine, tags.is_watermarked) == ("fake/1", True)


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({}, LoudnessTarget(-19.0, -3.0)),
        ({"loudness_lufs": -21.5}, LoudnessTarget(-21.5, -3.0)),
        ({"loudness": LoudnessPreset.BROADCAST}, LoudnessTarget(-23.0, -1.0)),
        ({"loudness": LoudnessPreset.OFF}, None),
        ({"loudness": LoudnessPreset.OFF, "loudness_lufs": -20.0}, None),
    ],
)
def test_how_loud_it_becomes_is_the_presets_choice_unless_the_narration_names_a_number(fields, target):
    asked = {}
    assemble_with(FakeLedger(stored_takes={0: take(), 1: take()}), asked=asked, **fields)
    assert asked["loudness"] == target


def test_subtitles_and_timings_lie_beside_the_audio():
    store = assemble_with(FakeLedger(stored_takes={0: take()}, stored_failures={1: ("synthesis", "it stuttered")}))
    srt, vtt, timings = (store.objects[key] for key in SUBTITLE_KEYS)
    assert b"00:00:00,000 --> 00:00:00,500" in srt
    assert vtt.startswith(b"WEBVTT")
    assert [segment["is_present"] for segment in json.loads(timings)["segments"]] == [True, False]


def test_there_are_no_subtitles_without_audio():
    store = assemble_with(FakeLedger(stored_failures=dict.fromkeys((0, 1), ("synthesis", "it stuttered"))), audio=None)
    assert not set(SUBTITLE_KEYS) & set(store.objects)


def test_a_book_whose_cover_is_gone_is_made_without_it():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()})
    asked = {}
    assemble_with(ledger, asked=asked, cover="5" * 64)
    assert asked["tags"].cover is None
    assert ledger.last("commit")["state"] is State.SUCCEEDED


def test_lost_segments_are_sent_again_when_the_assembly_finds_them_gone():
    ledger = FakeLedger(stored_takes={0: take(), 1: take()}, answer=dispatch("1"))
    messenger = FakeMessenger()

    def find_one_gone(progress):
        raise SegmentsUnusableError("stored segments cannot be used, 1: its object is gone", [1])

    store = assemble_with(ledger, act=find_one_gone, messenger=messenger)
    assert ledger.names() == ["claim", "reopen"]
    assert ledger.last("reopen") == {"token": "token", "indexes": [1]}
    assert messenger.segments == ["1"]
    assert manifest_key(NARRATION_ID) not in store.objects
