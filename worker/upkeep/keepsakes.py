"""Writes into S3 what only Redis knows and a rebuild needs: by which engine a narration is spoken, and that it ended.

Looks at the narrations under way, a bounded number at a time. Knows nothing of how a rebuild uses it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from redis import Redis

from producer.contract.ending import EnginePin, ending_key, pin_key
from producer.contract.keys import RedisKeys
from producer.contract.status import TERMINAL_STATES, State
from producer.endings import mark_ended

logger = logging.getLogger(__name__)

#: Objects that one pass writes at most: half a second of a slow server.
MAX_WRITES: Final = 25

#: Records that one pass looks at, of each kind: some ten milliseconds.
PAGE: Final = 500

#: Ends without a manifest. A narration whose segments all failed has one.
_MARKED: Final = frozenset({State.CANCELLED, State.FAILED, State.EXPIRED})

_FIELDS: Final = ("state", "engine_identity", "num_segments", "num_failed", "batch_id", "reason_code", "reason")


class Store(Protocol):
    """The bucket (`producer.storage.ObjectStore`)."""

    def exists(self, key: str) -> bool: ...  # noqa: D102

    def put(self, key: str, data: bytes, content_type: str) -> None: ...  # noqa: D102

    def delete(self, key: str) -> None: ...  # noqa: D102


class Keepsakes:
    """Remembers what it has written; a fresh one looks at every record once, page by page."""

    def __init__(self, redis: Redis, keys: RedisKeys, store: Store) -> None:
        self._redis = redis
        self._keys = keys
        self._store = store
        self._open: set[str] = set()
        self._pinned: set[str] = set()
        self._ended: list[str] = []
        self._unpinned_at = 0
        self._first_round_at: int | None = 0

    def run_once(self) -> int:
        """Write what is due, `MAX_WRITES` objects at most; return how many were written.

        Raises:
            redis.RedisError: as the client raises it.
            StorageUnavailableError: S3 cannot be used; nothing is forgotten.
        """
        active = set(self._ids(self._keys.active(), 0, -1))
        self._ended += sorted(self._open - active)
        self._open = active
        self._pinned &= active
        self._look_at_old_ones()
        num_written = self._pin(self._next_unpinned())
        return num_written + self._mark(MAX_WRITES - num_written)

    def _next_unpinned(self) -> list[str]:
        """Return the next page of narrations that no engine was noted for; most of them have not been begun."""
        unpinned = sorted(self._open - self._pinned)
        if self._unpinned_at >= len(unpinned):
            self._unpinned_at = 0
        page = unpinned[self._unpinned_at : self._unpinned_at + PAGE]
        self._unpinned_at += PAGE
        return page

    def _look_at_old_ones(self) -> None:
        """Take up the next page of what had ended before this process looked after it."""
        if self._first_round_at is None:
            return
        page = self._ids(self._keys.narrations(), self._first_round_at, self._first_round_at + PAGE - 1)
        self._first_round_at = self._first_round_at + PAGE if len(page) == PAGE else None
        self._ended += [each for each in page if each not in self._open]

    def _pin(self, narration_ids: Sequence[str]) -> int:
        num_written = 0
        for narration_id, fields in self._records(narration_ids):
            if num_written >= MAX_WRITES or not (identity := fields["engine_identity"]):
                continue
            pin = EnginePin(engine_identity=identity).model_dump_json().encode()
            self._store.put(pin_key(narration_id), pin, "application/json")
            self._pinned.add(narration_id)
            num_written += 1
        return num_written

    def _mark(self, max_writes: int) -> int:
        num_written = 0
        page = self._ended[:PAGE]
        for at, (narration_id, fields) in enumerate(self._records(page)):
            if num_written >= max_writes:
                page = page[:at]
                break
            if _needs_mark(fields) and not self._store.exists(ending_key(narration_id)):
                self._write_mark(narration_id, fields)
                num_written += 1
        del self._ended[: len(page)]
        return num_written

    def _write_mark(self, narration_id: str, fields: dict[str, str]) -> None:
        mark_ended(
            self._store,
            narration_id,
            State(fields["state"]),
            batch_id=fields["batch_id"] or None,
            reason_code=fields["reason_code"] or None,
            reason=fields["reason"] or None,
            finished_at=datetime.now(UTC),
        )
        ((_, now),) = self._records([narration_id])
        if now["state"] and now["state"] not in TERMINAL_STATES:  # it was tried again in this very moment
            self._store.delete(ending_key(narration_id))

    def _records(self, narration_ids: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
        pipeline = self._redis.pipeline(transaction=False)
        for narration_id in narration_ids:
            pipeline.hmget(self._keys.record(narration_id), *_FIELDS)
        records = ([(value or b"").decode() for value in values] for values in pipeline.execute())
        return [
            (each, dict(zip(_FIELDS, values, strict=True))) for each, values in zip(narration_ids, records, strict=True)
        ]

    def _ids(self, key: str, start: int, end: int) -> list[str]:
        members: Any = self._redis.zrange(key, start, end)
        return [member.decode() for member in members]


def _needs_mark(fields: dict[str, str]) -> bool:
    """Say whether a narration has ended without a manifest."""
    if fields["state"] not in _MARKED:
        return False
    num_segments, num_failed = (int(fields[name] or 0) for name in ("num_segments", "num_failed"))
    return not (fields["state"] == State.FAILED and 0 < num_segments == num_failed)
