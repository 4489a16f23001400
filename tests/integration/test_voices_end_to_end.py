"""Voices from `voices add` to the finished audio, with a real worker; the test engine takes every voice."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from speechlike import speechlike_wav

from producer import Client, Manifest, NarrationJob, Settings, State
from producer.contract.keys import voice_audio_key
from producer.recording import read_recording
from producer.storage import ObjectStore
from worker.text.split import split

pytestmark = pytest.mark.integration

DEADLINE_S = 120.0
TONE = {"engine": "tone", "format": "flac"}

has_chapters = pytest.mark.skipif(
    "chapters" not in inspect.signature(split).parameters, reason="the splitter knows no chapters"
)


@pytest.fixture
def client(settings: Settings):
    with Client(settings) as connected:
        for name, pitch_hz in (("ada", 210.0), ("bo", 110.0)):
            recording = read_recording(speechlike_wav(3.5, pitch_hz=pitch_hz))
            connected.voices.add(name, recording, consent=f"{name} agreed, 2026-01-01")
        yield connected


def ended(job: NarrationJob) -> tuple[State, Manifest]:
    return job.wait(DEADLINE_S).state, job.manifest()


def keys_of(manifest: Manifest) -> list[str | None]:
    return [segment.key for segment in manifest.segments]


def test_the_same_text_in_two_voices_shares_no_audio_and_each_voice_is_fetched_once(
    client: Client, start_worker, tmp_path: Path
) -> None:
    worker = start_worker("tone")
    text = "One sentence.\n\nAnother one."
    batch = client.submit_many([{"text": text, "voice": voice, **TONE} for voice in ("ada", "bo", "ada", "default")])
    ends = [ended(job) for job in batch]
    assert [state for state, _ in ends] == [State.SUCCEEDED] * 4
    ada, bo, ada_again, own = (keys_of(manifest) for _, manifest in ends)
    assert ada == ada_again
    assert not {*ada} & {*bo}
    assert not {*ada, *bo} & {*own}
    folder = tmp_path / "worker-0" / "cache" / "voices"
    hashes = {client.voices.get(name).sha256 for name in ("ada", "bo")}
    assert {path.stem for path in folder.iterdir()} == hashes
    assert "agreed" not in worker.log()


def test_a_recording_that_is_gone_fails_its_narration_by_name_and_no_other(
    client: Client, start_worker, store: ObjectStore
) -> None:
    batch = client.submit_many([{"text": f"Said by {voice}.", "voice": voice, **TONE} for voice in ("ada", "bo")])
    sha256 = client.voices.get("ada").sha256
    store.delete(voice_audio_key(sha256))
    start_worker("tone")
    ada, bo = (job.wait(DEADLINE_S) for job in batch)
    assert (ada.state, bo.state) == (State.FAILED, State.SUCCEEDED)
    (segment,) = batch[0].manifest().segments
    assert segment.error_code == "voice_missing"
    assert sha256 in (segment.error or "")


@has_chapters
def test_chapters_and_marks_are_spoken_by_whom_they_name_and_only_a_lost_voice_is_missing(
    client: Client, start_worker, store: ObjectStore
) -> None:
    first = "Ada reads this.\n\n[voice:bo] Bo reads this.\n\n"
    text = f"{first}Nobody in particular reads this."
    chapters = [{"title": "I", "start": 0, "voice": "ada"}, {"title": "II", "start": len(first)}]
    job = client.submit({"text": text, "chapters": chapters, **TONE})
    store.delete(voice_audio_key(client.voices.get("bo").sha256))
    start_worker("tone")
    state, manifest = ended(job)
    assert state is State.PARTIAL
    assert [segment.voice for segment in manifest.segments] == ["ada", "bo", None]
    assert [segment.error_code for segment in manifest.segments] == [None, "voice_missing", None]
