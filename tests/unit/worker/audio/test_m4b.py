"""An m4b: its table in front, every frame where the table says, and no temporary file left behind."""

from __future__ import annotations

import errno
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tagreaders
from audiofiles import RATE_HZ, WriteOnly, seen, speech_like, written

from producer.contract.narration import AudioFormat
from worker.audio import ChapterMark, Tags, open_writer
from worker.audio.mp4tracks import Samples, audio_track, chapter_track, movie
from worker.audio.spool import Spool
from worker.errors import SpoolSpaceError

PCM = speech_like(5 * RATE_HZ)
CHAPTERS = (ChapterMark("One", 0), ChapterMark("Two é", 2 * RATE_HZ), ChapterMark("", 4 * RATE_HZ))


@pytest.fixture
def spooling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Send temporary files to a folder of this test's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def open_files_in(folder: Path) -> int:
    """Return how many files of a folder this process holds open, those without a name too."""
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(str(link).startswith(str(folder)) for link in links)


def test_the_table_comes_before_the_sound() -> None:
    root = tagreaders.mp4(written(AudioFormat.M4B, PCM))
    assert [box.kind for box in root.children] == [b"ftyp", b"uuid", b"moov", b"mdat"]
    assert root.one(b"ftyp").content[:4] == b"M4B "


def test_every_frame_and_title_lies_where_the_table_says() -> None:
    data = written(AudioFormat.M4B, PCM, tags=Tags(chapters=CHAPTERS, language="de"))
    root = tagreaders.mp4(data)
    sound, text = root.one(b"moov").all(b"trak")
    frames, titles = tagreaders.mp4_samples(data, sound), tagreaders.mp4_samples(data, text)
    media = b"".join(sample for _, sample in titles) + b"".join(sample for _, sample in frames)
    assert media == root.one(b"mdat").content
    assert {duration for duration, _ in frames} == {1_024}
    assert [duration for duration, _ in titles] == [2_000, 2_000, 1_000]
    encoded = [sample[2 : 2 + int.from_bytes(sample[:2], "big")].decode() for _, sample in titles]
    assert encoded == [mark.title for mark in CHAPTERS]
    assert sound.one(b"tref").content == struct.pack(">I4sI", 12, b"chap", 2)


def test_the_edit_list_says_where_the_sound_begins_and_ends() -> None:
    data = written(AudioFormat.M4B, PCM)
    track = tagreaders.mp4(data).one(b"moov", b"trak")
    _, count, duration, media_time, rate, _ = struct.unpack(">IIIiHH", track.one(b"edts", b"elst").content)
    frames = tagreaders.mp4_samples(data, track)
    assert (count, duration, rate) == (1, len(PCM), 1)
    # The sound ends with the last frame, so that players which know nothing of ends are right as well.
    assert media_time + duration == 1_024 * len(frames)
    gapless = next(
        box.one(b"data").content[8:].decode()
        for box in tagreaders.mp4(data).all(b"moov", b"udta", b"meta", b"ilst", b"----")
        if box.one(b"name").content[4:] == b"iTunSMPB"
    )
    assert [int(number, 16) for number in gapless.split()[:4]] == [0, media_time, 0, len(PCM)]


def test_nero_chapters_are_left_out_when_their_list_would_end_in_the_middle() -> None:
    for count, is_there in ((255, True), (256, False)):
        marks = tuple(ChapterMark(f"{number} " + "ä" * 200, number * 400) for number in range(count))
        data = written(AudioFormat.M4B, PCM, tags=Tags(chapters=marks))
        lists = tagreaders.mp4(data).all(b"moov", b"udta", b"chpl")
        assert len(lists) == is_there
        _, chapters, _ = seen(data)
        assert [title for _, _, title in chapters] == [mark.title for mark in marks]
        if is_there:
            assert lists[0].content[8] == 255
            (start,) = struct.unpack_from(">Q", lists[0].content, 9)
            length = lists[0].content[17]
            assert start == 0
            assert lists[0].content[18 : 18 + length].decode() == marks[0].title[:128]


def test_what_outgrows_32_bits_has_64() -> None:
    """Six days of sound, as the table would tell of it, in few and huge frames; those themselves are not made."""
    frames = Samples(np.full(12_000, 500_000, np.uint32), ((12_000_000, 1_024),), 24, 40_000_000)
    titles = Samples(np.array([20], np.uint32), ((1, 512_000_000),), 1, 40_000_000)
    sound = audio_track(
        frames,
        rate_hz=RATE_HZ,
        priming=1_024,
        duration=frames.duration - 1_024,
        language="eng",
        bit_rate=64_000,
        config=b"\x13\x08",
        has_text=True,
    )
    text = chapter_track(titles, duration=frames.duration, language="eng")
    root = tagreaders.mp4(movie(RATE_HZ, frames.duration, 2, sound, text))
    head = root.one(b"moov", b"mvhd").content
    assert struct.unpack_from(">IQ", head, 20) == (RATE_HZ, frames.duration)
    sound_track, text_track = root.one(b"moov").all(b"trak")
    assert struct.unpack_from(">IIQq", sound_track.one(b"edts", b"elst").content)[2:] == (
        frames.duration - 1_024,
        1_024,
    )
    places = sound_track.one(b"mdia", b"minf", b"stbl", b"co64").content[8:]
    assert struct.unpack_from(">Q", places, len(places) - 8)[0] == 40_000_000 + (12_000 - 24) * 500_000
    assert text_track.all(b"mdia", b"minf", b"stbl", b"stco")


def test_the_temporary_file_has_no_name_and_is_gone_after_the_last_byte(spooling: Path) -> None:
    sink = WriteOnly()
    with open_writer(AudioFormat.M4B, RATE_HZ, len(PCM), sink) as writer:
        writer.write(PCM)
        assert not sink.data
        assert open_files_in(spooling) == 1
        assert list(spooling.iterdir()) == []
    assert open_files_in(spooling) == 0
    assert sink.data


def test_the_temporary_file_is_gone_after_an_error(spooling: Path) -> None:
    def fail() -> None:
        with open_writer(AudioFormat.M4B, RATE_HZ, len(PCM), WriteOnly()) as writer:
            writer.write(PCM[:1_000])
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert open_files_in(spooling) == 0


def test_the_temporary_file_is_gone_after_an_upload_that_fails(spooling: Path) -> None:
    class Refusing:
        def write(self, data: bytes) -> int:
            raise ConnectionResetError

    writer = open_writer(AudioFormat.M4B, RATE_HZ, len(PCM), Refusing())
    writer.write(PCM)
    with pytest.raises(ConnectionResetError):
        writer.close()
    assert open_files_in(spooling) == 0


def test_ten_hours_are_refused_where_there_is_no_room(spooling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10**12, 10**12 - 10**8, 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(SpoolSpaceError) as caught:
        open_writer(AudioFormat.M4B, RATE_HZ, 10 * 3_600 * RATE_HZ, WriteOnly())
    assert caught.value.code == "spool_space"
    assert caught.value.is_retryable
    assert str(spooling) in str(caught.value)
    assert "95 MiB are free" in str(caught.value)
    assert open_files_in(spooling) == 0


@pytest.mark.parametrize("num_bytes", [10, 3_000_000])
def test_a_disk_that_fills_up_meanwhile_is_named(num_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda prefix, buffering: full.open("w+b", buffering=buffering))
    spool = Spool(10)

    def fill() -> None:
        spool.write(b"x" * num_bytes)  # a little is kept in memory until it is read
        list(spool.blocks())

    with pytest.raises(SpoolSpaceError, match="No space left on device"):
        fill()
    spool.close()


def test_no_folder_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(SpoolSpaceError, match="No usable temporary directory"):
        Spool(10)


def test_what_comes_out_of_a_spool_comes_in_blocks() -> None:
    spool = Spool(10)
    content = bytes(range(256)) * 12_000
    spool.write(content[:1_000_000])
    spool.write(content[1_000_000:])
    blocks = list(spool.blocks())
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) == 1024 * 1024
    spool.close()
    spool.close()
