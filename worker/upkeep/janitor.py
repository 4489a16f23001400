"""Clears away what no narration needs: broken uploads, requests that came to nothing, packs that were split.

A bounded number of objects at a time; the next step goes on where the last one stopped. Nothing is judged by a missing
record alone: what is removed is older than the retention, by the clock of S3, and either was never begun or is marked
as ended. A narration that was begun and has neither a record nor an end is left to the audit, which names it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from typing import Final, Protocol

from producer.contract.keys import is_id
from producer.storage import StorageRefusedError
from producer.storage.inventory import BegunUpload, StoredObject
from worker.upkeep.packs import lines_of, packs_in

logger = logging.getLogger(__name__)

#: Objects that one step looks at.
STEP: Final = 2_000

#: Seconds beyond the retention for which things may lie about.
SLACK_S: Final = 86_400.0

#: Objects that say that a narration has ended, or was deleted.
_MARKS: Final = frozenset({"ended.json", "deleted.json"})


class Store(Protocol):
    """The bucket (`producer.storage.inventory.BucketInventory`)."""

    def list_objects(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[StoredObject]: ...  # noqa: D102

    def list_uploads(self) -> Iterator[BegunUpload]: ...  # noqa: D102

    def abort_upload(self, upload: BegunUpload) -> None: ...  # noqa: D102

    def delete_many(self, keys: Sequence[str]) -> None: ...  # noqa: D102

    def get(self, key: str) -> bytes: ...  # noqa: D102


class Records(Protocol):
    """Which narrations have a record (`producer.ledger.restoring.Restoring`)."""

    def exist(self, narration_ids: Sequence[str]) -> list[bool]: ...  # noqa: D102


class Janitor:
    """Goes round and round; each `run_once` is one step of the round."""

    def __init__(
        self, *, store: Store, records: Records, retention_s: float, upload_grace_s: float, sweep: Callable[[], int]
    ) -> None:
        """Take what is cleared, and by which limits.

        Args:
            store: the bucket.
            records: says which narrations have a record.
            retention_s: how long the record of a narration stays at most after its end.
            upload_grace_s: seconds after which a multipart upload is not at work any more.
            sweep: removes segments that nothing refers to, a bounded number; returns how many.
        """
        self._store = store
        self._records = records
        self._old_s = retention_s + SLACK_S
        self._upload_grace_s = upload_grace_s
        self._sweep = sweep
        self._resume_after: str | None = None
        self._refused: set[str] = set()

    def run_once(self) -> Counter[str]:
        """Do one step and return how much of what was removed.

        Raises:
            QueueUnavailableError, StorageUnavailableError: a service cannot be used; the next step begins again.
        """
        duties = {"narration_objects": self._remove_abandoned, "segments": self._sweep}
        if self._resume_after is None:  # a new round
            duties = {"uploads": self._abort_uploads, "packs": self._remove_packs, **duties}
        removed = +Counter({name: self._do(name, duty) for name, duty in duties.items()})
        if removed:
            logger.info("cleared_away", extra={f"num_{name}": number for name, number in removed.items()})
        return removed

    def _do(self, name: str, duty: Callable[[], int]) -> int:
        """Do one duty, unless S3 has said that this process may not: careful keys may lack the rights."""
        if name in self._refused:
            return 0
        try:
            return duty()
        except StorageRefusedError as error:
            self._refused.add(name)
            self._resume_after = None
            logger.warning("clearing_refused", extra={"what": name, "reason": str(error)})
            return 0

    def _abort_uploads(self) -> int:
        old = [upload for upload in self._store.list_uploads() if upload.age_s >= self._upload_grace_s]
        for upload in old[:STEP]:
            self._store.abort_upload(upload)
        return len(old[:STEP])

    def _remove_abandoned(self) -> int:
        """Remove what is left of narrations without a record that came to nothing, a page of the listing at a time."""
        page = list(islice(self._store.list_objects("narrations/", start_after=self._resume_after), STEP))
        groups = [(name, list(group)) for name, group in groupby(page, lambda stored: stored.key.split("/")[1])]
        is_end = len(page) < STEP
        if not is_end and len(groups) > 1:
            groups.pop()  # it may go on in the next page
        self._resume_after = None if is_end else groups[-1][1][-1].key
        old = {
            narration_id: objects
            for narration_id, objects in groups
            if is_id(narration_id) and self._is_abandoned(objects)
        }
        lost = [each for each, exists in zip(old, self._records.exist(list(old)), strict=True) if not exists]
        keys = [stored.key for each in lost for stored in sorted(old[each], key=_marks_last)]
        self._store.delete_many(keys)
        return len(keys)

    def _is_abandoned(self, objects: Sequence[StoredObject]) -> bool:
        names = {stored.key.rpartition("/")[2] for stored in objects}
        came_to_nothing = bool(names & _MARKS) or not names & {"plan.json", "manifest.json"}
        return came_to_nothing and all(stored.age_s >= self._old_s for stored in objects)

    def _remove_packs(self) -> int:
        """Remove packs all of whose narrations were split, which gave each a request of its own, or have ended."""
        num_removed = 0
        for pack in islice(packs_in(self._store), STEP):
            if pack.age_s < self._old_s:
                continue
            ids = list(lines_of(self._store, pack.key))
            without = [each for each in ids if next(self._store.list_objects(f"narrations/{each}/"), None) is None]
            if any(self._records.exist(without)):
                continue
            self._store.delete_many([pack.key])
            num_removed += 1
        return num_removed


def _marks_last(stored: StoredObject) -> bool:
    """Sort the mark of an end behind everything that it keeps from coming back."""
    return stored.key.rpartition("/")[2] in _MARKS
