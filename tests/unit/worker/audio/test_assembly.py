"""Takes joined into one file: whole, in order, at the places that the manifest names."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import av
import numpy as np
import pytest
import soundfile
from assemblystore import MemoryStore, stored_take
from numpy.typing import NDArray

from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Boundary, Plan
from worker.audio import Tags, assemble, encode_segment
from worker.audio.pauses import PAUSES_MS
from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash
from worker.errors import AssemblyError, SegmentsUnusableError
from worker.text import split

RATE_HZ = 24_000
TEXT = "Chapter One\n\n" + "\n\n".join(f"This is sentence number {n} of the story, told in order." for n in range(9))


#: Makes a sentence so long that no other fits beside it.
GOING_ON = ", and goes on" * 9


def tones_of(plan: Plan, store: MemoryStore) -> dict[int, TakeFacts]:
    return {
        segment.index: stored_take(segment.index, encode_tones(tone_hash(segment.text), RATE_HZ), store)
        for segment in plan.segments
    }


def plan_of(text: str = TEXT) -> Plan:
    return split(text, language="en", narration_id="a" * 26)


def heard_in(data: bytes) -> tuple[NDArray[np.float64], int]:
    """Return what a player hears, at the rate that it plays: an opus file is always played at 48 kHz."""
    with av.open(io.BytesIO(data)) as container:
        rate_hz = container.streams.audio[0].rate
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float64), rate_hz


def samples_of(data: bytes) -> NDArray[np.float64]:
    return heard_in(data)[0]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_every_segment_is_there_once_in_order(audio_format: AudioFormat, store: MemoryStore) -> None:
    plan = plan_of()
    takes = tones_of(plan, store)
    assembly = assemble(plan, takes, {}, {"0": 1, "3": 2}, store, audio_format=audio_format, tags=Tags(title="T"))

    assert assembly.audio is not None
    data = store.objects[assembly.audio.key]
    assert assembly.audio.key == f"narrations/{'a' * 26}/audio.{audio_format.value}"
    assert (assembly.audio.size_bytes, assembly.audio.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    samples, played_hz = heard_in(data)
    pace = played_hz / RATE_HZ
    # FFmpeg's decoder gives the last frame of an m4b as it is, 1,024 samples; players heed the length in the header.
    excess = len(samples) / pace - assembly.audio.num_samples
    assert 0 <= excess < 1_024 if audio_format is AudioFormat.M4B else excess == 0
    assert assembly.audio.num_samples == pytest.approx(assembly.audio.duration_s * RATE_HZ, abs=1)
    assert decode_tones(samples, played_hz) == [tone_hash(segment.text) for segment in plan.segments]

    for placed, segment in zip(assembly.segments, plan.segments, strict=True):
        assert (placed.start, placed.end, placed.boundary) == (segment.start, segment.end, segment.boundary)
        start, end = (int(n * pace) for n in (placed.offset_samples, placed.offset_samples + placed.num_samples))
        assert decode_tones(np.pad(samples[start:end], 1_200), played_hz) == [tone_hash(segment.text)]
        assert placed.offset_s == pytest.approx(placed.offset_samples / RATE_HZ, abs=1e-6)
    assert [segment.attempts for segment in assembly.segments[:4]] == [1, 0, 0, 2]


def test_offsets_pauses_and_samples_are_exact_in_wav(store: MemoryStore) -> None:
    plan = plan_of(
        f"Chapter One\n\nHere is a sentence that is long{GOING_ON}. Here is another, just as long{GOING_ON}.\n\n"
        "And a new paragraph."
    )
    assert [segment.boundary for segment in plan.segments] == [
        Boundary.HEADING,
        Boundary.SENTENCE,
        Boundary.PARAGRAPH,
        Boundary.END,
    ]
    takes = {n: stored_take(n, np.full(1_000 + n, 0.5, np.float32), store) for n in range(4)}
    assembly = assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.WAV, loudness=None)
    assert assembly.audio is not None
    samples, _ = soundfile.read(io.BytesIO(store.objects[assembly.audio.key]), dtype="int16")

    position = 0
    for placed in assembly.segments:
        assert placed.offset_samples == position
        assert placed.pause_after_samples == PAUSES_MS[placed.boundary] * 24
        own = samples[position : position + placed.num_samples]
        assert (own[96:-96] == 16_384).all()
        assert own[0] == own[-1] == 0  # no click at the edges
        assert (np.abs(np.diff(own.astype(int))) < 200).all()
        position += placed.num_samples
        assert not samples[position : position + placed.pause_after_samples].any()
        position += placed.pause_after_samples
    assert position == len(samples) == assembly.audio.num_samples


def test_a_failed_segment_is_left_out_and_named(store: MemoryStore) -> None:
    plan = plan_of()
    takes = tones_of(plan, store)
    del takes[0], takes[4], takes[9]
    failures = dict.fromkeys((0, 4, 9), ("synthesis", "no luck"))
    assembly = assemble(plan, takes, failures, {}, store, audio_format=AudioFormat.FLAC)
    assert assembly.audio is not None
    heard = decode_tones(samples_of(store.objects[assembly.audio.key]), RATE_HZ)
    assert heard == [tone_hash(segment.text) for segment in plan.segments if segment.index in takes]
    missing = [segment for segment in assembly.segments if not segment.is_present]
    assert [segment.index for segment in missing] == [0, 4, 9]
    assert {(segment.error_code, segment.error, segment.num_samples, segment.key) for segment in missing} == {
        ("synthesis", "no luck", 0, None)
    }


def test_there_is_no_audio_when_every_segment_failed(store: MemoryStore) -> None:
    plan = plan_of()
    failures = {segment.index: ("synthesis", "no luck") for segment in plan.segments}
    assembly = assemble(plan, {}, failures, {}, store, audio_format=AudioFormat.MP3)
    assert assembly.audio is None
    assert len(assembly.segments) == len(plan.segments)
    assert store.objects == {}


def test_assembling_again_gives_the_same_bytes(store: MemoryStore) -> None:
    plan = plan_of()
    takes = tones_of(plan, store)
    first = assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.MP3)
    assert assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.MP3) == first


def delete(objects: dict[str, bytes], key: str) -> None:
    del objects[key]


def cut_short(objects: dict[str, bytes], key: str) -> None:
    objects[key] = objects[key][:-100]


def overwrite(objects: dict[str, bytes], key: str) -> None:
    objects[key] = b"something else"


def shorten(objects: dict[str, bytes], key: str) -> None:
    objects[key] = encode_segment(np.ones(77, np.float32), RATE_HZ)


@pytest.mark.parametrize("harm", [delete, cut_short, overwrite, shorten])
def test_all_stored_segments_that_cannot_be_used_are_named_and_nothing_is_stored(
    harm: Callable[[dict[str, bytes], str], None], store: MemoryStore
) -> None:
    plan = plan_of()
    takes = tones_of(plan, store)
    for index in (2, 7):
        harm(store.objects, takes[index].key)
    with pytest.raises(SegmentsUnusableError) as caught:
        assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.MP3)
    assert caught.value.indexes == [2, 7]
    assert isinstance(caught.value, AssemblyError)
    assert not [key for key in store.objects if key.startswith("narrations/")]


def test_segments_of_different_rates_do_not_fit_together(store: MemoryStore) -> None:
    plan = plan_of()
    takes = {**tones_of(plan, store), 3: stored_take(3, np.ones(100, np.float32), store, rate_hz=16_000)}
    with pytest.raises(AssemblyError, match=r"16000, 24000"):
        assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.MP3)


def test_a_segment_that_has_not_ended_is_named(store: MemoryStore) -> None:
    plan = plan_of()
    takes = tones_of(plan, store)
    del takes[5]
    with pytest.raises(AssemblyError, match="the first is 5"):
        assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.MP3)


def test_whoever_watches_can_end_it_and_nothing_is_stored(store: MemoryStore) -> None:
    plan = plan_of()
    takes = tones_of(plan, store)
    seen: list[tuple[int, int]] = []

    def stop_at_four(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        assemble(plan, takes, {}, {}, store, audio_format=AudioFormat.MP3, progress=stop_at_four)
    assert seen == [(n, 2 * len(takes)) for n in range(1, 5)]
    assert not [key for key in store.objects if key.startswith("narrations/")]
