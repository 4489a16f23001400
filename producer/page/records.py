"""What the ledger knows of narrations, asked with commands that only read.

`producer.ledger` reads through scripts and tidies its index on the way, which a user without the right to write may
not. Knows nothing of S3.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

import redis

from producer.connection import redis_errors
from producer.contract.errors import NarrationNotFoundError
from producer.contract.keys import RedisKeys
from producer.contract.manifest import TakeFacts
from producer.contract.settings import Settings
from producer.contract.status import NarrationStatus, State
from producer.ledger.record import status_from_fields

#: Records looked at in one step of `newest`, and steps: what is beyond is not listed, as most of it has expired.
PAGE_SIZE: Final = 200
MAX_PAGES: Final = 25


class Records:
    """The narrations in Redis; every method raises `QueueUnavailableError` if it cannot be used."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._keys = RedisKeys(settings.redis_prefix)

    def newest(self, limit: int, state: State | None = None) -> list[NarrationStatus]:
        """Return the newest narrations first, at most `limit`, those in one state if so asked.

        Raises:
            MalformedMessageError: a record is of a newer version.
        """
        found: dict[str, NarrationStatus] = {}
        for page in range(MAX_PAGES):
            with redis_errors(self._settings):
                ids = self._client.zrevrange(self._keys.narrations(), page * PAGE_SIZE, (page + 1) * PAGE_SIZE - 1)
            statuses = self._read([narration_id.decode() for narration_id in cast("list[bytes]", ids)])
            # By id: narrations that come in meanwhile push others into the next page, which then shows them twice.
            found |= {each.id: each for each in statuses if each is not None and state in (None, each.state)}
            if len(ids) < PAGE_SIZE or len(found) >= limit:
                break
        return list(found.values())[:limit]

    def status(self, narration_id: str) -> NarrationStatus:
        """Return where a narration stands.

        Raises:
            NarrationNotFoundError: no narration has this id, or its record has expired.
            MalformedMessageError: its record is of a newer version.
        """
        (status,) = self._read([narration_id])
        if status is None:
            raise NarrationNotFoundError(narration_id)
        return status

    def done(self, narration_id: str) -> set[int]:
        """Return the segments that are done; empty once the narration has ended."""
        with redis_errors(self._settings):
            bits = cast("bytes | None", self._client.get(self._keys.done(narration_id))) or b""
        return {8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte & 0x80 >> bit}

    def failures(self, narration_id: str) -> dict[int, tuple[str, str]]:
        """Return (code, sentence) of each segment that failed for good; empty once the narration has ended."""
        found = {int(index): json.loads(why) for index, why in self._hash(self._keys.failures(narration_id)).items()}
        return {index: (why["code"], why["reason"]) for index, why in found.items()}

    def takes(self, narration_id: str) -> dict[int, TakeFacts]:
        """Return the accepted take of each segment that is done; empty once the narration has ended."""
        takes = self._hash(self._keys.takes(narration_id))
        return {int(index): TakeFacts.model_validate_json(take) for index, take in takes.items()}

    def _read(self, ids: Sequence[str]) -> list[NarrationStatus | None]:
        with redis_errors(self._settings):
            pipeline = self._client.pipeline(transaction=False)
            for narration_id in ids:
                pipeline.hgetall(self._keys.record(narration_id))
            records: list[dict[bytes, bytes]] = pipeline.execute()
        return [
            status_from_fields(narration_id, {name.decode(): value.decode() for name, value in record.items()})
            if record
            else None
            for narration_id, record in zip(ids, records, strict=True)
        ]

    def _hash(self, key: str) -> dict[bytes, bytes]:
        with redis_errors(self._settings):
            return cast("dict[bytes, Any]", self._client.hgetall(key))
