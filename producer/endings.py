"""Marks in S3 that a narration has ended without a manifest, so that it does not rise again when Redis is emptied.

Knows nothing of the ledger. The mark follows the ledger's decision: it is written when a narration has been cancelled
or has failed, before one is deleted, and taken away before one is tried again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from producer.contract.ending import Ending, ending_key
from producer.contract.keys import manifest_key
from producer.contract.status import State


class Store(Protocol):
    """Where the marks lie (`producer.storage.ObjectStore`)."""

    def put(self, key: str, data: bytes, content_type: str) -> None: ...  # noqa: D102

    def delete(self, key: str) -> None: ...  # noqa: D102


def mark_ended(
    store: Store,
    narration_id: str,
    state: State | None,
    *,
    batch_id: str | None = None,
    reason_code: str | None = None,
    reason: str | None = None,
    finished_at: datetime | None = None,
) -> None:
    """Say in S3 that a narration has ended.

    Args:
        store: the bucket.
        narration_id: which one.
        state: how it ended; None: it was deleted, and nothing of it may be put back.
        batch_id: its batch, whose pack may still hold its request.
        reason_code: stable name of why it ended so.
        reason: the same as a sentence.
        finished_at: None: now.

    Raises:
        StorageUnavailableError: nobody knows whether it was written; workers write it for what was not deleted.
    """
    if state is not None and not state.is_terminal:
        raise ValueError(f"{state} is no final state")
    ending = Ending(
        narration_id=narration_id,
        state=state,
        reason_code=reason_code,
        reason=reason,
        batch_id=batch_id,
        finished_at=finished_at or datetime.now(UTC),
    )
    store.put(ending_key(narration_id), ending.model_dump_json().encode(), "application/json")


def unmark_ended(store: Store, narration_id: str) -> None:
    """Take away what says in S3 that a narration has ended, because it is tried again; its segments stay.

    Raises:
        StorageUnavailableError: it may still be there; repeat it before the ledger is told.
    """
    store.delete(ending_key(narration_id))
    store.delete(manifest_key(narration_id))
