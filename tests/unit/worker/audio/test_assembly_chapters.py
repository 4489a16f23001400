from __future__ import annotations

import io
from types import TracebackType

import av
import numpy as np
import pytest
import soundfile
from assemblystore import NARRATION_ID, MemoryStore, MemoryUpload, chaptered_plan, stored_take
from numpy.typing import NDArray

from producer.contract.keys import audio_key, chapter_audio_key
from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from worker.audio import Tags, assemble
from worker.engine.fingerprint import decode_tones, encode_tones, tone_hash

RATE_HZ = 24_000


def tones_of(plan: Plan, store: MemoryStore, **flags: tuple[str, ...]) -> dict[int, TakeFacts]:
    return {
        segment.index: stored_take(
            segment.index,
            encode_tones(tone_hash(segment.text), RATE_HZ),
            store,
            flags=flags.get(f"of_{segment.index}", ()),
            score=0.5,
        )
        for segment in plan.segments
    }


def read(data: bytes) -> NDArray[np.int16]:
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return samples


def test_the_manifest_says_where_each_chapter_is_and_how_it_went():
    store = MemoryStore()
    plan = chaptered_plan(3, 0, 2, 1)
    takes = tones_of(plan, store, of_1=("cut",), of_2=("silent", "short"))
    del takes[3], takes[5]
    failures = dict.fromkeys((3, 5), ("synthesis", "no luck"))
    assembly = assemble(plan, takes, failures, {}, store, audio_format=AudioFormat.WAV)
    assert assembly.audio is not None
    chapters = assembly.chapters
    assert [(chapter.index, chapter.title) for chapter in chapters] == [(n, f"Part {n}") for n in range(4)]
    assert [(chapter.start, chapter.end) for chapter in chapters] == [(0, 30), (30, 30), (30, 50), (50, 60)]
    assert [(c.num_segments, c.num_failed, c.num_flagged) for c in chapters] == [
        (3, 0, 2),
        (0, 0, 0),
        (2, 1, 0),
        (1, 1, 0),
    ]
    third = assembly.segments[3].offset_s
    total = assembly.audio.duration_s
    assert [chapter.offset_s for chapter in chapters] == pytest.approx([0.0, third, third, total], abs=2e-6)
    assert [chapter.duration_s for chapter in chapters] == pytest.approx([third, 0.0, total - third, 0.0], abs=2e-6)
    assert [segment.flags for segment in assembly.segments[:3]] == [(), ("cut",), ("silent", "short")]
    assert [segment.score for segment in assembly.segments[:4]] == [0.5, 0.5, 0.5, None]
    assert [segment.chapter for segment in assembly.segments] == [0, 0, 0, 2, 2, 3]


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.M4B])
def test_players_see_the_chapters_that_are_heard(audio_format: AudioFormat):
    store = MemoryStore()
    plan = chaptered_plan(2, 0, 1)
    assembly = assemble(plan, tones_of(plan, store), {}, {}, store, audio_format=audio_format, tags=Tags(title="Book"))
    assert assembly.audio is not None
    with av.open(io.BytesIO(store.objects[assembly.audio.key])) as container:
        marks = container.chapters()
    assert [mark["metadata"]["title"] for mark in marks] == ["Part 0", "Part 2"]
    starts_s = [float(mark["start"] * mark["time_base"]) for mark in marks]
    assert starts_s == pytest.approx([0.0, assembly.chapters[2].offset_s], abs=0.002)


def test_the_files_of_the_chapters_are_the_whole_cut_where_they_begin():
    store = MemoryStore()
    plan = chaptered_plan(2, 3, 0, 2)
    takes = tones_of(plan, store)
    assembly = assemble(
        plan, takes, {}, {}, store, audio_format=AudioFormat.WAV, tags=Tags(title="Book"), has_chapter_files=True
    )
    assert assembly.audio is not None
    files = [chapter.audio for chapter in assembly.chapters]
    assert [file and file.key for file in files] == [
        chapter_audio_key(NARRATION_ID, 0, AudioFormat.WAV),
        chapter_audio_key(NARRATION_ID, 1, AudioFormat.WAV),
        None,
        chapter_audio_key(NARRATION_ID, 3, AudioFormat.WAV),
    ]
    parts = [read(store.objects[file.key]) for file in files if file]
    np.testing.assert_array_equal(np.concatenate(parts), read(store.objects[assembly.audio.key]))
    for file, part in zip([file for file in files if file], parts, strict=True):
        assert (file.num_samples, file.size_bytes) == (len(part), len(store.objects[file.key]))
    assert decode_tones(parts[1], RATE_HZ) == [tone_hash(f"Segment {n}.") for n in (2, 3, 4)]
    assert set(store.num_gets.values()) == {2}  # no take is read more often because of them
    with av.open(io.BytesIO(store.objects[files[3].key])) as container:
        assert container.metadata["title"] == "Part 3"


def test_no_chapter_files_are_written_unless_they_are_asked_for():
    store = MemoryStore()
    plan = chaptered_plan(1, 1)
    assembly = assemble(plan, tones_of(plan, store), {}, {}, store, audio_format=AudioFormat.MP3)
    assert [key for key in store.objects if key.startswith("narrations/")] == [audio_key(NARRATION_ID, AudioFormat.MP3)]
    assert [chapter.audio for chapter in assembly.chapters] == [None, None]


class FragileStore(MemoryStore):
    """Remembers how each upload ended."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted: list[str] = []

    def upload(self, key: str, content_type: str) -> MemoryUpload:
        aborted = self.aborted

        class Upload(MemoryUpload):
            def __exit__(
                self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
            ) -> None:
                super().__exit__(kind, error, trace)
                if error is not None:
                    aborted.append(key)

        return Upload(self.objects, key)


def test_an_assembly_that_ends_early_leaves_no_file_that_is_not_whole():
    store = FragileStore()
    plan = chaptered_plan(2, 2)

    def stop(done: int, _total: int) -> None:
        if done == 4 + 3:  # of the second pass, in the second chapter
            raise InterruptedError

    with pytest.raises(InterruptedError):
        assemble(
            plan,
            tones_of(plan, store),
            {},
            {},
            store,
            audio_format=AudioFormat.WAV,
            loudness=None,
            has_chapter_files=True,
            progress=stop,
        )
    first, second = (chapter_audio_key(NARRATION_ID, index, AudioFormat.WAV) for index in range(2))
    assert [key for key in store.objects if key.startswith("narrations/")] == [first]
    assert store.aborted == [second, audio_key(NARRATION_ID, AudioFormat.WAV)]
