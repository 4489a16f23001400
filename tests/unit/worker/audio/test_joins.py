"""What stands between two takes: trimmed edges, the right pause, and no click."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from assemblystore import MemoryStore, chaptered_plan, stored_take
from numpy.typing import NDArray

from producer.contract.manifest import ManifestSegment
from producer.contract.narration import AudioFormat
from producer.contract.plan import Boundary, Plan
from worker.audio import Assembly, assemble
from worker.audio.pauses import PAUSES_MS
from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash

RATE_HZ = 24_000


def assembled(
    plan: Plan, pcm_of: dict[int, NDArray[np.floating]], store: MemoryStore
) -> tuple[Assembly, NDArray[np.int16]]:
    """Assemble without a change of loudness and return what is heard."""
    takes = {index: stored_take(index, pcm, store) for index, pcm in pcm_of.items()}
    failures = {segment.index: ("synthesis", "no luck") for segment in plan.segments if segment.index not in takes}
    assembly = assemble(plan, takes, failures, {}, store, audio_format=AudioFormat.WAV, loudness=None)
    assert assembly.audio is not None
    samples, _ = soundfile.read(io.BytesIO(store.objects[assembly.audio.key]), dtype="int16")
    assert len(samples) == assembly.audio.num_samples
    return assembly, samples


def tones(index: int, before: int = 0, after: int = 0) -> NDArray[np.float32]:
    return np.pad(encode_tones(tone_hash(f"Segment {index}."), RATE_HZ), (before, after))


def own(samples: NDArray[np.int16], segment: ManifestSegment) -> NDArray[np.int16]:
    return samples[segment.offset_samples : segment.offset_samples + segment.num_samples]


def test_silence_at_the_edges_is_trimmed_and_the_manifest_says_how_much():
    store = MemoryStore()
    plan = chaptered_plan(3)
    before, after = 7_200, 16_800
    assembly, samples = assembled(plan, {n: tones(n, before, after) for n in range(3)}, store)
    for segment in assembly.segments:
        assert decode_tones(own(samples, segment), RATE_HZ) == [tone_hash(f"Segment {segment.index}.")]
        assert 12_000 < segment.num_samples < 12_000 + 0.1 * RATE_HZ
        assert before - 0.05 * RATE_HZ < segment.trim_start_samples < before
        stored, _ = soundfile.read(io.BytesIO(store.objects[segment.key or ""]), dtype="int16")
        heard = stored[segment.trim_start_samples :][: segment.num_samples]
        np.testing.assert_array_equal(own(samples, segment)[96:-96], heard[96:-96])  # but for the fades of 4 ms


def test_the_pause_is_the_boundarys_unless_a_mark_asks_for_another():
    plan = chaptered_plan(2, 2, pauses_s=(None, 1.25, 0.0))
    assembly, samples = assembled(plan, {n: tones(n) for n in range(4)}, MemoryStore())
    pauses = [segment.pause_after_samples for segment in assembly.segments]
    assert pauses == [PAUSES_MS[Boundary.SENTENCE] * 24, 30_000, 0, PAUSES_MS[Boundary.END] * 24]
    for segment, pause in zip(assembly.segments, pauses, strict=True):
        end = segment.offset_samples + segment.num_samples
        assert not samples[end : end + pause].any()


def test_a_chapter_ends_with_a_longer_pause_also_when_its_last_segment_failed():
    plan = chaptered_plan(2, 1)
    chapter = PAUSES_MS[Boundary.CHAPTER] * 24
    assembly, _ = assembled(plan, {n: tones(n) for n in range(3)}, MemoryStore())
    assert assembly.segments[1].pause_after_samples == chapter
    assembly, _ = assembled(plan, {0: tones(0), 2: tones(2)}, MemoryStore())
    assert [segment.pause_after_samples for segment in assembly.segments] == [chapter, 0, PAUSES_MS[Boundary.END] * 24]


@pytest.mark.parametrize("pause_s", [None, 0.0])
def test_nothing_clicks_where_takes_meet(spoken: list[NDArray[np.int16]], pause_s: float | None):
    """Takes that begin and end in the middle of a vowel, at full strength: what an impatient engine might return."""
    loud = [pcm[len(pcm) // 3 : 2 * len(pcm) // 3] / 32_768 for pcm in spoken]
    plan = chaptered_plan(len(loud), pauses_s=[pause_s] * len(loud))
    assembly, samples = assembled(plan, dict(enumerate(loud)), MemoryStore())
    steps = np.abs(np.diff(samples.astype(int)))
    for segment, pcm in zip(assembly.segments, loud, strict=True):
        inside = np.abs(np.diff(pcm)).max() * 32_768
        first, last = segment.offset_samples, segment.offset_samples + segment.num_samples
        for edge in (first, last):
            assert steps[max(edge - 120, 0) : edge + 120].max() <= inside + 1
        assert samples[first] == samples[last - 1] == 0
