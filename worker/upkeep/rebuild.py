"""Walks through all that S3 holds and has what the ledger lacks put back: first what is to be spoken, then what was.

Knows nothing of when that is needed. May be broken off at any point and begun again: what has a record is left alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final, Protocol, TypeVar

from producer.contract.errors import MalformedMessageError, NarrationNotFoundError
from producer.contract.keys import request_key
from producer.contract.narration import NarrationRequest
from producer.contract.status import State
from producer.storage import ObjectNotFoundError
from producer.storage.inventory import StoredObject
from worker.upkeep.found import SUBMIT_GRACE_S, Found, Stage, found_in
from worker.upkeep.packs import lines_of, packs_in, request_in

logger = logging.getLogger(__name__)

#: Narrations that Redis is asked about in one round trip.
PAGE: Final = 500

#: Finished narrations that are put back at once; each is two small reads.
NUM_READERS: Final = 8

Item = TypeVar("Item")


class Store(Protocol):
    """The bucket (`producer.storage.inventory.BucketInventory`)."""

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]: ...  # noqa: D102

    def get(self, key: str) -> bytes: ...  # noqa: D102

    def put(self, key: str, data: bytes, content_type: str) -> None: ...  # noqa: D102


class Ledger(Protocol):
    """Which narrations have a record (`producer.ledger.restoring.Restoring` and `producer.ledger.Ledger`)."""

    def exist(self, narration_ids: Sequence[str]) -> list[bool]: ...  # noqa: D102


class Restores(Protocol):
    """Puts one narration back (`worker.upkeep.restorer.Restorer`)."""

    def restore(self, found: Found) -> bool: ...  # noqa: D102

    def restore_submitted(self, request: NarrationRequest, request_ref: str) -> bool: ...  # noqa: D102


class BrokenOffError(Exception):
    """The process is told to stop, or somebody else has taken over."""


class Rebuild:
    """One walk through the bucket."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        restorer: Restores,
        cancel: Callable[[str], State],
        longest_retention_s: float,
        may_go_on: Callable[[], bool],
    ) -> None:
        """Take what a walk needs.

        Args:
            store: the bucket.
            ledger: says what has a record.
            restorer: puts back what has none.
            cancel: ends a narration of which S3 says that it was cancelled.
            longest_retention_s: after which no record is kept; what ended before that is not read.
            may_go_on: whether this process still has the lock and time; asked every few narrations.
        """
        self._store = store
        self._ledger = ledger
        self._restorer = restorer
        self._cancel = cancel
        self._longest_retention_s = longest_retention_s
        self._may_go_on = may_go_on
        #: What was done, by stage.
        self.counts: Counter[str] = Counter()
        #: Whether some requests are so young that their submit may still be at work; another walk is needed for them.
        self.is_unfinished = False

    def run(self) -> None:
        """Put back what is missing.

        Raises:
            BrokenOffError: it may not go on.
            QueueUnavailableError, StorageUnavailableError: a service cannot be used; begin again.
        """
        in_own_objects: set[str] = set()
        ended: list[Found] = []
        for page in _pages(found_in(self._store.list_objects("narrations/")), PAGE):
            self._check()
            in_own_objects.update(found.narration_id for found in page)
            for found, exists in zip(page, self._ledger.exist([each.narration_id for each in page]), strict=True):
                if exists:
                    self._end_if_marked(found)
                elif found.stage in {Stage.ENDED, Stage.FINISHED}:
                    if found.ended_s < self._longest_retention_s:
                        ended.append(found)
                elif found.stage is Stage.ARRIVING:
                    self.is_unfinished = True
                else:
                    self._restore(found)
        self._restore_packed(in_own_objects)
        self._restore_ended(ended)

    def _restore(self, found: Found) -> None:
        self._check()
        try:
            if self._restorer.restore(found):
                self.counts[found.stage] += 1
        except (MalformedMessageError, ObjectNotFoundError) as error:
            self.counts["unreadable"] += 1
            logger.warning("narration_not_restored", extra={"narration_id": found.narration_id, "reason": str(error)})

    def _end_if_marked(self, found: Found) -> None:
        """End a narration again whose end Redis has lost with its last writes."""
        if found.is_marked:
            try:
                self._cancel(found.narration_id)
            except NarrationNotFoundError:  # it expired a moment ago
                return

    def _restore_packed(self, in_own_objects: set[str]) -> None:
        for pack in packs_in(self._store):
            self._check()
            if pack.age_s < SUBMIT_GRACE_S:
                self.is_unfinished = True
                continue
            lines = {
                narration_id: line
                for narration_id, line in lines_of(self._store, pack.key).items()
                if narration_id not in in_own_objects
            }
            for narration_id, exists in zip(lines, self._ledger.exist(list(lines)), strict=True):
                if not exists and (request := request_in(lines[narration_id], pack.key)) is not None:
                    self._check()
                    self._restore_from_pack(request, lines[narration_id])

    def _restore_from_pack(self, request: NarrationRequest, line: bytes) -> None:
        # In an object of its own: a submit that comes too late finds the record made, and may remove its packs.
        self._store.put(request_key(request.id), line, "application/json")
        if self._restorer.restore_submitted(request, request_key(request.id)):
            self.counts[Stage.SUBMITTED] += 1

    def _restore_ended(self, ended: Sequence[Found]) -> None:
        with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="rebuild") as readers:
            for page in _pages(iter(ended), PAGE):
                self._check()
                for _ in readers.map(self._restore, page):
                    pass

    def _check(self) -> None:
        if not self._may_go_on():
            raise BrokenOffError


def _pages(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while page := list(islice(items, size)):
        yield page
