"""The client: submit narrations, follow them, fetch what came out.

Knows nothing of Redis, S3 and Celery beyond that they are there; it connects to each when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from producer.bulk import read_bulk_file
from producer.contract.manifest import Manifest
from producer.contract.narration import Narration
from producer.contract.settings import Settings
from producer.contract.status import NarrationStatus, State
from producer.job import Batch, NarrationJob
from producer.narrationset import NarrationSet
from producer.results import download, presigned_url, read_manifest, read_status
from producer.services import Services
from producer.submission import submit_one, submit_set
from producer.waiting import OnProgress, wait_for
from producer.workers import LiveWorker, live_workers

if TYPE_CHECKING:
    from producer.dictionaries import Dictionaries
    from producer.voices import VoiceRegister

#: `Client.list` hides the built-in in the class body.
StatusList = list[NarrationStatus]


class Client:
    """Submits narrations to the workers and fetches what they made.

    One client serves many threads. Every method that talks to Redis or S3 raises `QueueUnavailableError` or
    `StorageUnavailableError` within five seconds if the service is down or frozen; nothing is tried for ever.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Make a client; nothing is connected yet.

        Args:
            settings: None: read from CHATTERQUEUE_* variables.

        Raises:
            SettingsError: the variables cannot be used.
        """
        self._services = Services(settings or Settings.load())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections; a later call makes new ones."""
        self._services.close()

    def submit(self, narration: Narration | dict[str, Any], *, wait_s: float = 0.0) -> NarrationJob:
        """Hand in one narration.

        If this fails, nothing was queued, unless the error is a `QueueUnavailableError` that says that no answer
        came: then nobody knows, and submitting it again with the same `idempotency_key` is safe.

        Args:
            narration: which one.
            wait_s: seconds to wait for room while Redis is nearly full.

        Raises:
            QueueFullError: Redis has no room; nothing was queued.
            InvalidNarrationError: naming every fault.
            UnknownVoiceError: no such voice.
            IdempotencyConflictError: the key belongs to other content.
            QueueUnavailableError, StorageUnavailableError: nothing was queued.
        """
        return NarrationJob.of(self._services, submit_one(self._services, narration, wait_s=wait_s))

    def submit_many(
        self, narrations: Iterable[Narration | dict[str, Any]] | NarrationSet, *, wait_s: float = 0.0
    ) -> Batch:
        """Hand in a set: all of it is checked before the first narration is queued.

        The records are then made one after the other. If Redis goes away in the middle, those made before stay and
        are spoken; with idempotency keys the same set can be handed in again.

        Args:
            narrations: which ones.
            wait_s: as `submit`.

        Raises:
            QueueFullError: Redis has no room for all of them; nothing was queued.
            InvalidBatchError: naming every fault of every narration; nothing was queued.
            QueueUnavailableError, StorageUnavailableError: as said above.
        """
        if not isinstance(narrations, NarrationSet):
            narrations = NarrationSet.of(narrations)
        return Batch.of(self._services, *submit_set(self._services, narrations, wait_s=wait_s))

    def submit_file(self, path: str | Path, *, wait_s: float = 0.0) -> Batch:
        """Hand in a bulk file (one JSON object a line; `-` is standard input), as `submit_many` does a set.

        Raises:
            UnreadableInputError: the file cannot be read.
            InvalidBatchError: naming every fault with its line; nothing was queued.
            QueueFullError, QueueUnavailableError, StorageUnavailableError: as `submit_many`.
        """
        return Batch.of(self._services, *submit_set(self._services, read_bulk_file(path), wait_s=wait_s))

    def job(self, narration_id: str) -> NarrationJob:
        """Return a handle on a narration that was submitted before; it is not looked for."""
        return NarrationJob(self._services, narration_id, is_new=False)

    def status(self, narration_id: str) -> NarrationStatus:
        """Return where a narration stands.

        Raises:
            NarrationNotFoundError: no narration has this id, or its record has expired.
            QueueUnavailableError: Redis cannot be asked.
        """
        return read_status(self._services, narration_id)

    def statuses(self, narration_ids: Sequence[str]) -> Sequence[NarrationStatus | None]:
        """Return where many narrations stand, in the order of the ids; None for those that are not known.

        Raises:
            QueueUnavailableError: Redis cannot be asked.
        """
        return self._services.ledger.read(narration_ids)

    def wait(
        self, narration_id: str, timeout_s: float | None = None, *, on_progress: OnProgress | None = None
    ) -> NarrationStatus:
        """Return a narration's status when it has ended, however it ended.

        Args:
            narration_id: which one.
            timeout_s: seconds after which to give up; None: never.
            on_progress: is called with `[status]` after every question, a few times a second at first, then less often.

        Raises:
            NarrationNotFoundError: no narration has this id.
            WaitTimeoutError: it has not ended; it goes on.
            QueueUnavailableError: Redis cannot be asked; the narration goes on.
        """
        return self.wait_all([narration_id], timeout_s, on_progress=on_progress)[0]

    def wait_all(
        self, narration_ids: Sequence[str], timeout_s: float | None = None, *, on_progress: OnProgress | None = None
    ) -> StatusList:
        """Return the statuses of many narrations when the last of them has ended; else as `wait`."""
        return wait_for(narration_ids, self._services.ledger.read, timeout_s=timeout_s, on_progress=on_progress)

    def cancel(self, narration_id: str) -> State:
        """Stop a narration; return its state after that. One that has ended stays as it is.

        Raises:
            NarrationNotFoundError: no narration has this id.
            QueueUnavailableError: Redis cannot be asked.
        """
        return self._services.ledger.cancel(narration_id)

    def retry(self, narration_id: str) -> NarrationJob:
        """Take up again what ended without being whole, and return the narration that does so.

        A final state never changes, so this makes a new narration of the same request, linked by `retry_of`. What was
        finished is taken from the segment cache; only the rest is spoken. The same again returns the same narration.

        Raises:
            NarrationNotFoundError: no narration has this id.
            RetryRefusedError: it is under way or whole; nothing was queued.
            QueueUnavailableError, StorageUnavailableError: as `submit`.
        """
        return self.job(narration_id).retry()

    def delete(self, narration_id: str) -> None:
        """Remove a narration: its record, request, plan, manifest and audio. One that is under way is cancelled first.

        If this fails in the middle, it can be repeated. Segments stay in the cache, where others may share them; a
        request that was handed in with a batch goes with the last of the batch.

        Raises:
            NarrationNotFoundError: no narration has this id.
            QueueUnavailableError, StorageUnavailableError: it cannot be removed now.
        """
        self.job(narration_id).delete()

    def download(self, narration_id: str, path: str | Path) -> NarrationStatus:
        """Write a narration's audio to a file, which is whole or not there; return the status.

        Raises:
            OutputPathError: `path` is a folder or a symbolic link, or cannot be written; asked before anything else.
            NarrationNotFoundError: no narration has this id.
            NarrationUnfinishedError, NarrationFailedError: there is no audio yet, or there will be none.
            QueueUnavailableError, StorageUnavailableError: it cannot be fetched now.
        """
        return download(self._services, narration_id, Path(path))

    def url(self, narration_id: str, *, expires: int = 3600) -> str:
        """Return a URL under which anybody can fetch a narration's audio.

        Args:
            narration_id: which one.
            expires: seconds until the URL ends, at most seven days.

        Raises:
            InvalidInputError: `expires` is out of range.
            NarrationNotFoundError, NarrationUnfinishedError, NarrationFailedError: as `download`.
            QueueUnavailableError, StorageUnavailableError: it cannot be made now.
        """
        return presigned_url(self._services, narration_id, expires_s=expires)

    def manifest(self, narration_id: str) -> Manifest:
        """Return a narration's manifest: every segment's place in the text and in the audio.

        Raises:
            NarrationNotFoundError, NarrationUnfinishedError, NarrationFailedError: as `download`.
            QueueUnavailableError, StorageUnavailableError: it cannot be read now.
        """
        return read_manifest(self._services, narration_id)

    def workers(self) -> Sequence[LiveWorker]:
        """Return the workers that are alive.

        Raises:
            QueueUnavailableError: Redis cannot be asked.
        """
        return live_workers(self._services.redis, self._services.settings)

    @property
    def voices(self) -> VoiceRegister:
        """The register of voices: list, add, remove."""
        return self._services.voices

    @property
    def dictionaries(self) -> Dictionaries:
        """The pronunciation dictionaries: list, add, remove."""
        from producer.dictionaries import Dictionaries

        return Dictionaries(self._services.store)

    def list(self, *, state: State | None = None, batch_id: str | None = None, limit: int = 50) -> StatusList:
        """Return narrations, the newest first.

        Args:
            state: only those in this state.
            batch_id: only those of this batch.
            limit: how many at most.

        Raises:
            QueueUnavailableError: Redis cannot be asked.
        """
        return self._services.ledger.recent(state=state, batch_id=batch_id, limit=limit)
