"""All that Redis holds of one narration, read in one step so that it fits together.

Knows the names of the keys and the shape of what is in them, and judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from redis import Redis

from producer.contract.keys import RedisKeys
from producer.contract.manifest import TakeFacts
from producer.contract.status import TERMINAL_STATES, State


@dataclass(frozen=True, slots=True)
class LedgerView:
    """A narration as the ledger has it at one moment."""

    narration_id: str
    #: The record; empty if there is none.
    fields: Mapping[str, str]
    #: Segments whose bit is set.
    done: frozenset[int]
    #: Item -> millisecond.
    waiting: Mapping[str, int]
    delayed: Mapping[str, int]
    leases: Mapping[str, int]
    reopened: Mapping[str, int]
    attempts: Mapping[str, int]
    #: Segment index -> facts; None where they cannot be read.
    takes: Mapping[int, TakeFacts | None]
    #: Indexes of segments that failed for good.
    failures: frozenset[int]
    log: tuple[dict[str, Any], ...]
    is_active: bool
    is_listed: bool
    #: Milliseconds that the record stays; -1: for ever.
    ttl_ms: int
    #: Redis time.
    now_ms: int

    @property
    def exists(self) -> bool:
        """Say whether there is a record."""
        return bool(self.fields)

    @property
    def state(self) -> State | None:
        """The state; None if it is none that we know."""
        word = self.fields.get("state", "")
        return State(word) if word in {state.value for state in State} else None

    @property
    def is_open(self) -> bool:
        """Say whether it has not ended."""
        return self.exists and self.state not in TERMINAL_STATES

    @property
    def is_restoring(self) -> bool:
        """Say whether it is being put back at this moment, so that not everything is in its place yet."""
        return "restoring" in self.fields

    def number(self, field: str) -> int:
        """Return a count from the record; 0 if it is not there, -1 if it is no number."""
        try:
            return int(self.fields.get(field, 0))
        except ValueError:
            return -1

    @classmethod
    def read(cls, redis: Redis, keys: RedisKeys, narration_id: str) -> Self:
        """Return what Redis holds of a narration.

        Raises:
            redis.RedisError: as the client raises it.
        """
        pipeline = redis.pipeline(transaction=True)
        pipeline.hgetall(keys.record(narration_id))
        pipeline.get(keys.done(narration_id))
        for key in (keys.waiting, keys.delayed, keys.leases, keys.reopened):
            pipeline.zrange(key(narration_id), 0, -1, withscores=True)
        for key in (keys.attempts, keys.takes, keys.failures):
            pipeline.hgetall(key(narration_id))
        pipeline.lrange(keys.log(narration_id), 0, -1)
        pipeline.zscore(keys.active(), narration_id)
        pipeline.zscore(keys.narrations(), narration_id)
        pipeline.pttl(keys.record(narration_id))
        pipeline.time()
        record, done, waiting, delayed, leases, reopened, attempts, takes, failures, *rest = pipeline.execute()
        log, active, listed, ttl_ms, (seconds, microseconds) = rest
        return cls(
            narration_id=narration_id,
            fields={name.decode(): _text(value) for name, value in record.items()},
            done=_bits(done or b""),
            waiting=_scores(waiting),
            delayed=_scores(delayed),
            leases=_scores(leases),
            reopened=_scores(reopened),
            attempts={_text(item): int(count) for item, count in attempts.items()},
            takes={int(index): _take(facts) for index, facts in takes.items()},
            failures=frozenset(int(index) for index in failures),
            log=tuple(json.loads(line) for line in log),
            is_active=active is not None,
            is_listed=listed is not None,
            ttl_ms=ttl_ms,
            now_ms=seconds * 1000 + microseconds // 1000,
        )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _scores(members: list[tuple[bytes, float]]) -> dict[str, int]:
    return {_text(member): int(score) for member, score in members}


def _take(raw: bytes) -> TakeFacts | None:
    try:
        return TakeFacts.model_validate_json(raw)
    except ValueError:
        return None


def _bits(bitmap: bytes) -> frozenset[int]:
    """Return the indexes of the set bits; Redis counts them from the highest bit of the first byte."""
    return frozenset(8 * at + bit for at, byte in enumerate(bitmap) if byte for bit in range(8) if byte & (0x80 >> bit))
