"""What came out of a narration: audio, chapters, subtitles and timings as files or URLs, and its manifest.

Knows nothing of how it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from producer.contract import keys
from producer.contract.errors import (
    InvalidInputError,
    MalformedMessageError,
    NarrationFailedError,
    NarrationNotFoundError,
    NarrationUnfinishedError,
)
from producer.contract.manifest import Manifest
from producer.contract.narration import SCHEMA_VERSION, AudioFormat
from producer.contract.status import STATES_WITH_AUDIO, NarrationStatus
from producer.outputfile import check_output_path
from producer.services import Services

#: Seconds that S3 lets a presigned URL live at most.
MAX_URL_LIFE_S: Final = 7 * 24 * 3600


class ResultKind(StrEnum):
    """What a file that came out of a narration holds."""

    AUDIO = "audio"
    CHAPTER = "chapter"  #: the audio of one chapter
    SRT = "srt"
    VTT = "vtt"
    TIMINGS = "json"


#: Kinds that are stored beside the audio, under its name with another ending.
_BESIDE_AUDIO: Final = (ResultKind.SRT, ResultKind.VTT, ResultKind.TIMINGS)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file that came out of a narration."""

    kind: ResultKind
    key: str
    #: What it is called where it is saved; unique within the narration.
    name: str
    size_bytes: int
    #: Index of the chapter that it holds; None: all of them.
    chapter: int | None = None


def read_status(services: Services, narration_id: str) -> NarrationStatus:
    """Return where a narration stands.

    Raises:
        NarrationNotFoundError: no narration has this id.
        QueueUnavailableError: Redis cannot be asked.
    """
    status = services.ledger.read([narration_id])[0]
    if status is None:
        raise NarrationNotFoundError(narration_id)
    return status


def audio_key_of(status: NarrationStatus) -> str:
    """Return the key of a narration's finished audio.

    Raises:
        NarrationUnfinishedError: it has none yet.
        NarrationFailedError: it ended without any.
    """
    if not status.state.is_terminal:
        raise NarrationUnfinishedError(status.id, status.state.value)
    if status.state not in STATES_WITH_AUDIO or status.size_bytes is None:
        raise NarrationFailedError(status.id, status.state.value, status.reason_code or "", status.reason or "")
    return keys.audio_key(status.id, AudioFormat(status.format))


def download(services: Services, narration_id: str, path: Path) -> NarrationStatus:
    """Write the finished audio to `path`: all of it, or nothing.

    Raises:
        OutputPathError: `path` is a folder or a link, or cannot be written; asked before anything else.
        NarrationNotFoundError, NarrationUnfinishedError, NarrationFailedError: there is nothing to fetch.
        QueueUnavailableError, StorageUnavailableError: it cannot be fetched now.
    """
    check_output_path(path)
    status = read_status(services, narration_id)
    services.store.download(audio_key_of(status), path)
    return status


def presigned_url(services: Services, narration_id: str, *, expires_s: int) -> str:
    """Return a URL under which anybody can fetch the finished audio until it expires.

    Raises:
        InvalidInputError: `expires_s` is not between 1 and seven days.
        NarrationNotFoundError, NarrationUnfinishedError, NarrationFailedError: there is nothing to fetch.
        QueueUnavailableError, StorageUnavailableError: it cannot be made now.
    """
    _check_life(expires_s)
    status = read_status(services, narration_id)
    key = audio_key_of(status)
    return services.store.presign(key, expires_s, filename=file_name_of(status))


def _check_life(expires_s: int) -> None:
    if not 1 <= expires_s <= MAX_URL_LIFE_S:
        raise InvalidInputError(f"a URL lives from 1 to {MAX_URL_LIFE_S} seconds (seven days), not {expires_s}")


def file_name_of(status: NarrationStatus) -> str:
    """Return what a narration's file is called: its custom id as far as a file name can hold it, else its id."""
    return f"{_stem(status)}.{status.format}"


def _stem(status: NarrationStatus) -> str:
    return _as_file_name(status.custom_id or "") or status.id


def _as_file_name(text: str) -> str:
    """Return a text as far as any file system can hold it; may be empty."""
    name = "".join(character if character.isalnum() or character in "-_." else "-" for character in text)
    return name.strip(".-")[:100]


def result_files(services: Services, narration_id: str) -> tuple[ResultFile, ...]:
    """Return all files that came out of a narration: the audio, its subtitles and timings, its chapters in order.

    A narration of before there were subtitles has none; chapters have files only if that was asked for.

    Raises:
        NarrationNotFoundError, NarrationUnfinishedError, NarrationFailedError: there is nothing to fetch.
        MalformedMessageError: a newer version has written the manifest.
        QueueUnavailableError, StorageUnavailableError: it cannot be read now.
    """
    status = read_status(services, narration_id)
    audio = ResultFile(ResultKind.AUDIO, audio_key_of(status), file_name_of(status), status.size_bytes or 0)
    files, stem = [audio], _stem(status)
    for kind in _BESIDE_AUDIO:
        key = keys.subtitles_key(narration_id, kind.value)
        size_bytes = services.store.size(key)
        if size_bytes is not None:
            files.append(ResultFile(kind, key, f"{stem}.{kind.value}", size_bytes))
    for chapter in read_manifest(services, narration_id).chapters:
        if chapter.audio is not None:
            title = _as_file_name(chapter.title)
            name = f"{stem}-{chapter.index + 1:04d}{'-' * bool(title)}{title}.{chapter.audio.format}"
            size_bytes = chapter.audio.size_bytes
            files.append(ResultFile(ResultKind.CHAPTER, chapter.audio.key, name, size_bytes, chapter.index))
    return tuple(files)


def download_file(services: Services, file: ResultFile, path: Path) -> None:
    """Write one of a narration's files to `path`: all of it, or nothing.

    Raises:
        OutputPathError: `path` is a folder or a link, or cannot be written; asked before anything else.
        StorageUnavailableError: it cannot be fetched now.
    """
    check_output_path(path)
    services.store.download(file.key, path)


def presigned_file_url(services: Services, file: ResultFile, *, expires_s: int) -> str:
    """Return a URL under which anybody can fetch one of a narration's files until it expires.

    Raises:
        InvalidInputError: `expires_s` is not between 1 and seven days.
        StorageUnavailableError: it cannot be made now.
    """
    _check_life(expires_s)
    return services.store.presign(file.key, expires_s, filename=file.name)


def read_manifest(services: Services, narration_id: str) -> Manifest:
    """Return the manifest: every segment's place in the text and in the audio.

    Raises:
        NarrationNotFoundError, NarrationUnfinishedError, NarrationFailedError: there is none.
        MalformedMessageError: a newer version has written it.
        QueueUnavailableError, StorageUnavailableError: it cannot be read now.
    """
    from producer.storage import ObjectNotFoundError

    status = read_status(services, narration_id)
    try:
        manifest = Manifest.model_validate_json(services.store.get(keys.manifest_key(narration_id)))
    except ObjectNotFoundError:
        audio_key_of(status)  # says why there is none
        raise
    if manifest.schema_version > SCHEMA_VERSION:
        raise MalformedMessageError(
            f"the manifest of narration {narration_id}", f"it is of version {manifest.schema_version}"
        )
    return manifest
