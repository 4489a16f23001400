"""Reads statuses: many at a time, and the newest ones first.

Knows nothing of the scripts; reading changes nothing but the index, from which it drops what has expired.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import redis

from producer.contract.keys import RedisKeys
from producer.contract.status import NarrationStatus, State
from producer.ledger.record import status_from_fields
from producer.ledger.scripting import ScriptRunner

#: Records in one round trip, and in one run of the script: that keeps others waiting for about a millisecond.
READ_BATCH_SIZE: Final = 1_000
SCRIPT_BATCH_SIZE: Final = 100

#: Records looked at in one step of `recent_statuses`.
PAGE_SIZE: Final = 200


def read_fields(scripts: ScriptRunner, keys: RedisKeys, ids: Sequence[str]) -> Iterator[dict[str, str] | None]:
    """Yield the fields of each narration's record in order; None for one that has no record.

    Raises:
        redis.RedisError: as the client raises it.
    """
    for start in range(0, len(ids), READ_BATCH_SIZE):
        names = [keys.record(narration_id) for narration_id in ids[start : start + READ_BATCH_SIZE]]
        calls = [(names[at : at + SCRIPT_BATCH_SIZE], ()) for at in range(0, len(names), SCRIPT_BATCH_SIZE)]
        for records in scripts.run_many("read", calls):
            for record in records:
                yield None if record is None else json.loads(record)


def read_statuses(scripts: ScriptRunner, keys: RedisKeys, ids: Sequence[str]) -> list[NarrationStatus | None]:
    """Return the status of each narration in order; None for one that has no record.

    Raises:
        MalformedMessageError: if a record is of a newer version.
        redis.RedisError: as the client raises it.
    """
    records = zip(ids, read_fields(scripts, keys, ids), strict=True)
    return [None if fields is None else status_from_fields(narration_id, fields) for narration_id, fields in records]


def recent_statuses(
    client: redis.Redis,
    scripts: ScriptRunner,
    keys: RedisKeys,
    *,
    state: State | None,
    batch_id: str | None,
    limit: int,
) -> list[NarrationStatus]:
    """Return the newest narrations first, at most `limit`; of one batch and in one state if so asked.

    Raises:
        MalformedMessageError: if a record is of a newer version.
        redis.RedisError: as the client raises it.
    """
    index = keys.narrations() if batch_id is None else keys.batch(batch_id)
    found: dict[str, NarrationStatus] = {}
    offset = 0
    while len(found) < limit:
        ids = _decoded(client.zrevrange(index, offset, offset + PAGE_SIZE - 1))
        if not ids:
            break
        statuses = read_statuses(scripts, keys, ids)
        expired = [narration_id for narration_id, status in zip(ids, statuses, strict=True) if status is None]
        if expired:
            client.zrem(index, *expired)
        # By id: narrations that come in meanwhile push others into the next page, which then shows them twice.
        found |= {status.id: status for status in statuses if status is not None and state in (None, status.state)}
        offset += len(ids) - len(expired)
    return list(found.values())[:limit]


def prune_index(client: redis.Redis, keys: RedisKeys, start: int, limit: int) -> tuple[int, int]:
    """Drop the ids of expired records from a stretch of the index; return how many it had and how many were dropped.

    Args:
        client: connected by `connect_redis`.
        keys: names in Redis.
        start: rank of the first id of the stretch, by age.
        limit: ids in it.

    Raises:
        redis.RedisError: as the client raises it.
    """
    ids = _decoded(client.zrange(keys.narrations(), start, start + limit - 1))
    pipeline = client.pipeline(transaction=False)
    for narration_id in ids:
        pipeline.exists(keys.record(narration_id))
    expired = [narration_id for narration_id, exists in zip(ids, pipeline.execute(), strict=True) if not exists]
    if expired:
        client.zrem(keys.narrations(), *expired)
    return len(ids), len(expired)


def _decoded(members: Any) -> list[str]:
    return [member.decode() for member in cast("list[bytes]", members)]
