"""What the page shows: narrations from Redis, their text and audio from S3. All of it is only read.

Knows nothing of HTTP.
"""

from __future__ import annotations

from typing import Final, Self

from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.errors import MalformedMessageError
from producer.contract.manifest import Manifest
from producer.contract.narration import SCHEMA_VERSION
from producer.contract.plan import Plan
from producer.contract.settings import Settings
from producer.contract.status import NarrationStatus, State
from producer.page import documents
from producer.page.documents import Document
from producer.page.headers import origin_of
from producer.page.records import Records
from producer.results import audio_key_of, file_name_of
from producer.storage import ObjectNotFoundError, ObjectStore

#: Seconds that a link lasts. The browser asks for a new one when one has ended, so a short life costs nothing.
LINK_LIFE_S: Final = 3600

#: Timings that an assembly stores beside the audio, as far as it does.
SUBTITLES: Final = ("srt", "vtt", "json")


class Narrations:
    """Every narration of a farm. Safe for use from many threads.

    Each method raises `QueueUnavailableError` or `StorageUnavailableError` if it cannot ask, and
    `MalformedMessageError` if a newer version has written what it reads.
    """

    def __init__(self, records: Records, store: ObjectStore) -> None:
        self._records = records
        self._store = store

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the narrations of the farm that the settings name; nothing is sent yet.

        Raises:
            SettingsError, StorageUnavailableError: an address cannot be used.
        """
        return cls(Records(connect_redis(settings), settings), ObjectStore.connect(settings))

    def media_origin(self) -> str:
        """Return where presigned URLs lead: scheme, host and port.

        Raises:
            StorageUnavailableError: there are no credentials to sign with.
        """
        return origin_of(self._store.presign("none", 1))

    def newest(self, limit: int, state: State | None = None) -> list[Document]:
        """Return where the newest narrations stand, the newest first."""
        return [documents.summary(status) for status in self._records.newest(limit, state)]

    def progress(self, narration_id: str) -> Document:
        """Return where one stands, and which segments are done: small, to be asked for again and again.

        Raises:
            NarrationNotFoundError: there is none.
        """
        status = self._records.status(narration_id)
        return {
            "status": documents.summary(status),
            "done": documents.spans(self._records.done(narration_id)),
            "failed": documents.spans(self._records.failures(narration_id)),
        }

    def narration(self, narration_id: str) -> Document:
        """Return all of one: where it stands, its chapters, and every segment with its text.

        Raises:
            NarrationNotFoundError: there is none.
        """
        status = self._records.status(narration_id)
        plan = self._plan(narration_id) if status.num_segments else None
        # Written just before the end, so one without an ending may belong to an assembly that is begun again.
        manifest = self._manifest(narration_id) if status.state.is_terminal else None
        return {
            "status": documents.summary(status),
            "chapters": documents.chapters(plan, manifest) if plan else [],
            "segments": self._segments(narration_id, plan, manifest) if plan else [],
        }

    def links(self, narration_id: str) -> Document:
        """Return URLs under which anybody can fetch the audio, and the timings, until they expire.

        Raises:
            NarrationNotFoundError: there is none.
            NarrationUnfinishedError, NarrationFailedError: it has no audio yet, or never will.
        """
        status = self._records.status(narration_id)
        key = audio_key_of(status)
        name = file_name_of(status)
        return {
            "expires_s": LINK_LIFE_S,
            # Two: a browser saves what has a file name and plays what has none.
            "audio": self._store.presign(key, LINK_LIFE_S),
            "download": self._store.presign(key, LINK_LIFE_S, filename=name),
            "subtitles": self._subtitles(status, name),
        }

    def _segments(self, narration_id: str, plan: Plan, manifest: Manifest | None) -> list[Document]:
        if manifest is not None:
            return documents.finished_segments(plan, manifest)
        return documents.unfinished_segments(
            plan,
            done=self._records.done(narration_id),
            takes=self._records.takes(narration_id),
            failures=self._records.failures(narration_id),
        )

    def _subtitles(self, status: NarrationStatus, audio_name: str) -> dict[str, str]:
        stem = audio_name.rpartition(".")[0]
        stored = [(suffix, keys.subtitles_key(status.id, suffix)) for suffix in SUBTITLES]
        return {
            suffix: self._store.presign(key, LINK_LIFE_S, filename=f"{stem}.{suffix}")
            for suffix, key in stored
            if self._store.exists(key)
        }

    def _plan(self, narration_id: str) -> Plan | None:
        data = self._stored(keys.plan_key(narration_id))
        if data is None:
            return None
        plan = Plan.model_validate_json(data)
        _check_version(plan.schema_version, f"the plan of narration {narration_id}")
        return plan

    def _manifest(self, narration_id: str) -> Manifest | None:
        data = self._stored(keys.manifest_key(narration_id))
        if data is None:
            return None
        manifest = Manifest.model_validate_json(data)
        _check_version(manifest.schema_version, f"the manifest of narration {narration_id}")
        return manifest

    def _stored(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except ObjectNotFoundError:
            return None


def _check_version(version: int, what: str) -> None:
    if version > SCHEMA_VERSION:
        raise MalformedMessageError(what, f"it is of version {version}")
