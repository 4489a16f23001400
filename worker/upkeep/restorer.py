"""Puts one narration back into the ledger from what S3 holds of it.

Knows nothing of which narrations were lost, nor of locks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from producer.contract.ending import Ending, EnginePin, ending_key, pin_key
from producer.contract.errors import MalformedMessageError
from producer.contract.keys import manifest_key, request_key
from producer.contract.manifest import Manifest, ManifestSegment, TakeFacts
from producer.contract.narration import NarrationRequest
from producer.contract.status import State
from producer.ledger.restoring import RestoreOutcome, Restoring
from producer.storage import ObjectNotFoundError
from worker.narration.recipe import Recipe
from worker.narration.records import read_plan, read_request
from worker.upkeep.found import Found, Stage
from worker.upkeep.storedtakes import stored_takes

logger = logging.getLogger(__name__)

Record = TypeVar("Record", bound=BaseModel)


class Store(Protocol):
    """Objects in S3 (`producer.storage.inventory.BucketInventory`)."""

    def get(self, key: str) -> bytes: ...  # noqa: D102

    def get_begin(self, key: str, num_bytes: int) -> bytes: ...  # noqa: D102

    def get_range(self, key: str, offset: int, length: int) -> bytes: ...  # noqa: D102

    def put(self, key: str, data: bytes, content_type: str) -> None: ...  # noqa: D102

    def delete(self, key: str) -> None: ...  # noqa: D102


class Messenger(Protocol):
    """Messages to the workers (`producer.messages.Messenger`)."""

    def send_plan(self, ids_and_sent_ms: Iterable[tuple[str, int]]) -> None: ...  # noqa: D102


class Restorer:
    """Restores narrations, one at a time."""

    def __init__(
        self,
        *,
        ledger: Restoring,
        store: Store,
        messenger: Messenger,
        retention_s: Callable[[State], float],
        identity: Callable[[Recipe], str | None],
        worker: str,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what a restoration needs.

        Args:
            ledger: where records are put back.
            store: where everything else lies.
            messenger: sends the plans; everything else is sent by the reconciler.
            retention_s: how long a record stays after it has ended like this.
            identity: this process's own engine for a recipe; a guess where S3 does not name the engine.
            worker: this process's name.
            on_progress: called every few hundred segments; what it raises ends the restoration, to be taken up again.
        """
        self._on_progress = on_progress
        self._ledger = ledger
        self._store = store
        self._messenger = messenger
        self._retention_s = retention_s
        self._identity = identity
        self._worker = worker

    def restore(self, found: Found) -> bool:
        """Put a narration back as far as it had come; return whether it was missing.

        Raises:
            MalformedMessageError: what S3 holds of it cannot be read.
            ObjectNotFoundError: an object has gone since the listing.
            QueueUnavailableError, StorageUnavailableError: a service cannot be used; repeat it.
        """
        match found.stage:
            case Stage.ENDED:
                return self._restore_ended(found)
            case Stage.FINISHED:
                return self._restore_finished(found)
            case Stage.PLANNED:
                return self._restore_running(found)
            case Stage.SUBMITTED:
                return self.restore_submitted(self._request(found), found.request_key)
            case _:
                return False

    def restore_submitted(self, request: NarrationRequest, request_ref: str) -> bool:
        """Put back a narration that was not split yet; return whether it was missing.

        Raises:
            QueueUnavailableError: repeat it.
        """
        answer = self._ledger.restore_queued(request, request_ref)
        if answer.outcome is not RestoreOutcome.RESTORED:
            return False
        self._messenger.send_plan([(request.id, answer.sent_ms)])
        return True

    def _restore_running(self, found: Found) -> bool:
        request = self._request(found)
        plan = read_plan(self._store, found.narration_id)
        recipe = Recipe.of(request, plan)
        takes, identity = self._find_takes(recipe)
        # Workers read the request by its own name only.
        if found.request_key != request_key(request.id):
            self._store.put(request_key(request.id), request.model_dump_json().encode(), "application/json")
        answer = self._ledger.restore_running(
            request, request_key(request.id), num_segments=len(plan.segments), engine_identity=identity
        )
        if answer.outcome is not RestoreOutcome.RESTORING:
            return False
        cursor = max(takes, default=-1) + 1
        sent_before: Mapping[int, TakeFacts | None] = {index: takes.get(index) for index in range(cursor)}
        if not self._ledger.restore_takes(request.id, sent_before):
            return False
        if not self._ledger.restore_ready(request.id, cursor=cursor):
            return False
        counts = {"num_segments": len(plan.segments), "num_done": len(takes)}
        logger.info("narration_restored", extra={"narration_id": request.id, **counts})
        return True

    def _find_takes(self, recipe: Recipe) -> tuple[dict[int, TakeFacts], str | None]:
        """Return the takes that are stored, and by which engine; None if none is bound to it yet."""
        pin = self._read(EnginePin, pin_key(recipe.narration_id))
        identity = pin.engine_identity if pin is not None else self._identity(recipe)
        if identity is None:
            return {}, None
        takes: dict[int, TakeFacts] = {}
        for found in stored_takes(self._store, recipe, identity, self._worker):
            takes |= found
            self._on_progress()
        return takes, identity if pin is not None or takes else None

    def _restore_finished(self, found: Found) -> bool:
        manifest = self._read(Manifest, manifest_key(found.narration_id))
        if manifest is None:
            raise MalformedMessageError(manifest_key(found.narration_id), "it is no manifest")
        fields = {**fields_of_manifest(manifest), "finished_ms": round((time.time() - found.ended_s) * 1000)}
        return self._restore_end(found, manifest.state, fields)

    def _restore_ended(self, found: Found) -> bool:
        ending = self._read(Ending, ending_key(found.narration_id))
        if ending is None or ending.state is None or not found.request_key:
            return False  # deleted: nothing of it comes back
        reasons = {"reason_code": ending.reason_code, "reason": ending.reason}
        fields: dict[str, str | int] = {name: value for name, value in reasons.items() if value}
        fields["finished_ms"] = round(ending.finished_at.timestamp() * 1000)
        return self._restore_end(found, ending.state, fields)

    def _restore_end(self, found: Found, state: State, fields: Mapping[str, str | int]) -> bool:
        stays_s = self._retention_s(state) - found.ended_s
        if stays_s <= 0:
            return False  # its record has expired, as it should
        request = self._request(found)
        answer = self._ledger.restore_ended(request, found.request_key, state, fields, stays_s=stays_s)
        return answer.outcome is RestoreOutcome.RESTORED

    def _request(self, found: Found) -> NarrationRequest:
        request = read_request(self._store, found.request_key)
        if request.id != found.narration_id:
            raise MalformedMessageError(found.request_key, f"it is the request of {request.id}")
        return request

    def _read(self, kind: type[Record], key: str) -> Record | None:
        try:
            return kind.model_validate_json(self._store.get(key))
        except (ObjectNotFoundError, ValidationError):
            return None


def fields_of_manifest(manifest: Manifest) -> dict[str, str | int]:
    """Return what the record of a finished narration says beside what its request does."""
    present = [segment for segment in manifest.segments if segment.is_present]
    missing = [segment for segment in manifest.segments if not segment.is_present]
    fields: dict[str, str | int] = {
        "num_segments": len(manifest.segments),
        "cursor": len(manifest.segments),
        "num_done": len(present),
        "num_failed": len(missing),
        "num_reused": sum(segment.is_reused for segment in present),
        "num_flagged": sum(bool(segment.flags) for segment in present),
        "num_attempts": sum(segment.attempts for segment in manifest.segments),
        "audio_ms": sum(round(1000 * segment.duration_s) for segment in present),
        "engine_ms": round(1000 * manifest.usage.engine_s) if manifest.usage else 0,
        **_reasons(manifest, missing),
    }
    if manifest.engine_identity is not None:
        fields["engine_identity"] = manifest.engine_identity
    if manifest.audio is not None:
        fields["audio"] = manifest.audio.model_dump_json()
        fields["duration_ms"] = round(1000 * manifest.audio.duration_s)
        fields["size_bytes"] = manifest.audio.size_bytes
    return fields


def _reasons(manifest: Manifest, missing: list[ManifestSegment]) -> dict[str, str | int]:
    """Return why it is not whole, as the assembly words it."""
    if not missing:
        return {}
    first = missing[0]
    how_many = (
        "every segment" if manifest.state is State.FAILED else f"{len(missing)} of {len(manifest.segments)} segments"
    )
    return {
        "reason_code": first.error_code or "internal_error",
        "reason": f"{how_many} failed, the first because: {first.error or 'it is not known why'}",
    }
