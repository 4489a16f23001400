"""The files that came out of a narration: all of them listed, each fetched and signed under a name of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producer.contract import keys
from producer.contract.errors import InvalidInputError, NarrationUnfinishedError, OutputPathError
from producer.contract.manifest import AudioObject, Manifest, ManifestChapter
from producer.contract.narration import AudioFormat
from producer.contract.status import NarrationStatus, State
from producer.results import ResultFile, ResultKind, download_file, presigned_file_url, result_files
from producer.storage import ObjectNotFoundError

ID = "a" * 26


class Store:
    """Objects in a dictionary."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectNotFoundError(key) from None

    def size(self, key: str) -> int | None:
        return len(self.objects[key]) if key in self.objects else None

    def download(self, key: str, path: Path) -> None:
        path.write_bytes(self.get(key))

    def presign(self, key: str, expires_s: int, filename: str | None = None) -> str:
        return f"signed:{key}:{expires_s}:{filename}"


class Ledger:
    def __init__(self, status: NarrationStatus) -> None:
        self._status = status

    def read(self, narration_ids: list[str]) -> list[NarrationStatus | None]:
        return [self._status if each == ID else None for each in narration_ids]


class Services:
    def __init__(self, status: NarrationStatus, objects: dict[str, bytes]) -> None:
        self.ledger = Ledger(status)
        self.store = Store(objects)


def status(**changes: Any) -> NarrationStatus:
    fields = {
        "id": ID, "state": State.SUCCEEDED, "custom_id": "Book 7: Ä/..", "engine": "tone", "voice": "default",
        "format": "m4b", "language": "en", "num_segments": 2, "size_bytes": 9, **changes,
    }  # fmt: skip
    return NarrationStatus.model_construct(**fields)


def manifest(*titles: str, with_files: bool) -> bytes:
    def audio(index: int) -> AudioObject:
        key = keys.chapter_audio_key(ID, index, AudioFormat.M4B)
        return AudioObject(
            key=key, format="m4b", content_type="audio/mp4", size_bytes=100 + index, sha256="", sample_rate_hz=24_000,
            num_samples=1, duration_s=0.0,
        )  # fmt: skip

    chapters = tuple(
        ManifestChapter(
            index=index, title=title, start=index, end=index + 1, offset_s=0.0, duration_s=0.0, num_segments=1,
            num_failed=0, num_flagged=0, audio=audio(index) if with_files else None,
        )
        for index, title in enumerate(titles)
    )  # fmt: skip
    made = Manifest(
        narration_id=ID, custom_id=None, title=None, state=State.SUCCEEDED, engine_identity="tone",
        is_watermarked=False, voice="default", voice_sha256=None, language="en", text_sha256="", num_chars=2,
        created_at=datetime.now(UTC), audio=audio(0), chapters=chapters, segments=(),
    )  # fmt: skip
    return made.model_dump_json().encode()


def services(*titles: str, with_files: bool = True, **changes: Any) -> Any:
    objects = {
        keys.audio_key(ID, AudioFormat.M4B): b"the audio",
        keys.manifest_key(ID): manifest(*titles, with_files=with_files),
        keys.subtitles_key(ID, "srt"): b"1\n",
        keys.subtitles_key(ID, "vtt"): b"WEBVTT\n",
        keys.subtitles_key(ID, "json"): b"{}",
        keys.chapter_audio_key(ID, 1, AudioFormat.M4B): b"chapter two",
    }
    return Services(status(**changes), objects)


def test_every_file_has_a_kind_a_name_and_a_size() -> None:
    found = result_files(services("One", "Zwei: ä/ö", ""), ID)
    assert [(file.kind, file.name, file.size_bytes, file.chapter) for file in found] == [
        (ResultKind.AUDIO, "Book-7--Ä.m4b", 9, None),
        (ResultKind.SRT, "Book-7--Ä.srt", 2, None),
        (ResultKind.VTT, "Book-7--Ä.vtt", 7, None),
        (ResultKind.TIMINGS, "Book-7--Ä.json", 2, None),
        (ResultKind.CHAPTER, "Book-7--Ä-0001-One.m4b", 100, 0),
        (ResultKind.CHAPTER, "Book-7--Ä-0002-Zwei--ä-ö.m4b", 101, 1),
        (ResultKind.CHAPTER, "Book-7--Ä-0003.m4b", 102, 2),
    ]
    assert [file.key for file in found][:2] == [keys.audio_key(ID, AudioFormat.M4B), keys.subtitles_key(ID, "srt")]


def test_chapters_without_files_and_subtitles_that_are_not_there_are_left_out() -> None:
    old = services("One", with_files=False)
    for suffix in ("srt", "vtt", "json"):
        del old.store.objects[keys.subtitles_key(ID, suffix)]
    assert [file.kind for file in result_files(old, ID)] == [ResultKind.AUDIO]


def test_a_narration_under_way_has_no_files() -> None:
    with pytest.raises(NarrationUnfinishedError):
        result_files(services(state=State.RUNNING), ID)


def test_a_file_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    farm = services("One", "Two")
    chapter = result_files(farm, ID)[-1]
    download_file(farm, chapter, tmp_path / chapter.name)
    assert (tmp_path / "Book-7--Ä-0002-Two.m4b").read_bytes() == b"chapter two"
    with pytest.raises(OutputPathError):
        download_file(farm, chapter, tmp_path)


def test_a_url_brings_the_file_under_its_name() -> None:
    farm = services()
    file = ResultFile(ResultKind.SRT, keys.subtitles_key(ID, "srt"), "book.srt", 2)
    assert presigned_file_url(farm, file, expires_s=60) == f"signed:narrations/{ID}/audio.srt:60:book.srt"
    for seconds in (0, 7 * 24 * 3_600 + 1):
        with pytest.raises(InvalidInputError, match="seven days"):
            presigned_file_url(farm, file, expires_s=seconds)
