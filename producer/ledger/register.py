"""Which narrations there are: entering, reading, listing, cancelling, deleting them. The producer's side of the ledger.

Knows nothing of single segments.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, cast

from producer.connection import redis_errors
from producer.contract.errors import NarrationNotFoundError
from producer.contract.status import NarrationStatus, State
from producer.ledger.access import DAY_MS, LedgerAccess
from producer.ledger.outcomes import Creation, NewNarration, Outcome
from producer.ledger.reading import prune_index, read_fields, read_statuses, recent_statuses
from producer.ledger.record import LedgerRecord, fields_of
from producer.ledger.scripting import Call

#: How long a batch can be listed beyond its records' retention, counted from its last narration's submission: room for
#: the time that the work takes.
_BATCH_SLACK_MS: Final = 30 * DAY_MS


class Register(LedgerAccess):
    """The narrations as wholes."""

    #: Rank in the index from which `prune` goes on.
    _prune_from = 0

    def create(self, entries: Sequence[NewNarration]) -> list[Creation]:
        """Enter narrations and return what became of each, in order; send a plan message for each CREATED one.

        Each is entered atomically, all together are not: after an error the same call may be repeated.
        """
        token = secrets.token_hex(8)
        with redis_errors(self._settings):
            calls = [self._creation(entry, f"{token}{at}") for at, entry in enumerate(entries)]
            replies = self._scripts.run_many("create", calls)
        return [
            Creation(entry.request.id, Outcome(outcome.decode()), sent_ms)
            for entry, (outcome, sent_ms) in zip(entries, replies, strict=True)
        ]

    def read(self, narration_ids: Sequence[str]) -> list[NarrationStatus | None]:
        """Return the status of each narration in order; None for one that has no record.

        Raises:
            MalformedMessageError: if a record is of a newer version.
        """
        with redis_errors(self._settings):
            return read_statuses(self._scripts, self._keys, narration_ids)

    def recent(
        self, *, state: State | None = None, batch_id: str | None = None, limit: int = 50
    ) -> list[NarrationStatus]:
        """Return the newest narrations first, at most `limit`; of one batch and in one state if so asked.

        Raises:
            MalformedMessageError: if a record is of a newer version.
        """
        with redis_errors(self._settings):
            return recent_statuses(self._client, self._scripts, self._keys, state=state, batch_id=batch_id, limit=limit)

    def record(self, narration_id: str) -> LedgerRecord:
        """Return all that is known of a narration but its single segments.

        Raises:
            NarrationNotFoundError: if it has no record.
            MalformedMessageError: if its record is of a newer version.
        """
        with redis_errors(self._settings):
            (fields,) = read_fields(self._scripts, self._keys, [narration_id])
        if fields is None:
            raise NarrationNotFoundError(narration_id)
        return LedgerRecord.from_fields(narration_id, fields)

    def cancel(self, narration_id: str) -> State:
        """End a narration, unless it has ended, and return its state after that.

        Raises:
            NarrationNotFoundError: if it has no record.
        """
        state = self._run("cancel", narration_id, self._retention)
        if state is None:
            raise NarrationNotFoundError(narration_id)
        return State(state.decode())

    def active(self) -> list[str]:
        """Return the ids of all narrations that have not ended, the oldest first."""
        with redis_errors(self._settings):
            return [member.decode() for member in cast("list[bytes]", self._client.zrange(self._keys.active(), 0, -1))]

    def prune(self, limit: int = 1_000) -> int:
        """Drop expired narrations from among `limit` of the index, the oldest first; return how many were dropped.

        Run it now and then: each call goes on where the last one stopped, for not the oldest alone expire.
        """
        with redis_errors(self._settings):
            num_seen, num_dropped = prune_index(self._client, self._keys, self._prune_from, limit)
        self._prune_from = self._prune_from + num_seen - num_dropped if num_seen == limit else 0
        return num_dropped

    def delete(self, narration_id: str, batch_id: str | None) -> bool:
        """Forget a narration that has ended, or that has no record any more.

        Returns:
            False if it has not ended; then it stays.
        """
        keys = [*self._keys_of(narration_id), self._keys.narrations()]
        if batch_id is not None:
            keys.append(self._keys.batch(batch_id))
        with redis_errors(self._settings):
            return bool(self._scripts.run("delete", keys, [narration_id]))

    def _creation(self, entry: NewNarration, token: str) -> Call:
        request = entry.request
        keys = [*self._keys_of(request.id), self._keys.narrations()]
        if request.batch_id is not None:
            keys.append(self._keys.batch(request.batch_id))
        pairs = [part for pair in fields_of(entry).items() for part in pair]
        batch_ttl_ms = max(self._retention_ms, self._failed_retention_ms) + _BATCH_SLACK_MS
        return keys, [request.id, token, request.narration.content_hash(), batch_ttl_ms, *pairs]
