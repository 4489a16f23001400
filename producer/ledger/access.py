"""How every part of the ledger gets at Redis: the client, the key names, the scripts, the limits.

Knows nothing of what the scripts do.
"""

from __future__ import annotations

from typing import Any, Final, cast

import redis

from producer.connection import redis_errors
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings
from producer.ledger.scripting import ScriptRunner

DAY_MS: Final = 86_400_000

#: Segments of one narration that may be out at a time; every script is linear in this.
MAX_WINDOW: Final = 512


class LedgerAccess:
    """What the parts of the ledger have in common.

    Args:
        client: connected by `connect_redis`.
        settings: say how the keys begin and how long a record stays.
        lease_s: how long a claim holds without being renewed.
        window: segments of one narration that may be waiting, resting or in work. Where workers hold so many that it
            would keep them waiting, it is twice what they hold.
        max_attempts: claims of an item before it has failed for good.
        max_ends: of these, how many may end with the end of the process before the item counts as poisoned.
    """

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        *,
        lease_s: float = 15.0,
        window: int = 64,
        max_attempts: int = 4,
        max_ends: int = 2,
    ) -> None:
        if not (lease_s > 0 and 1 <= window <= MAX_WINDOW and max_attempts >= 1 and max_ends >= 1):
            raise ValueError(f"lease_s > 0, 1 <= window <= {MAX_WINDOW}, max_attempts >= 1, max_ends >= 1 are needed")
        self._client = client
        self._settings = settings
        self._keys = RedisKeys(settings.redis_prefix)
        self._scripts = ScriptRunner(client)
        self._lease_ms = max(1, round(lease_s * 1000))
        self._window = window
        self._max_attempts = max_attempts
        self._max_ends = max_ends
        self._retention_ms = settings.retention_days * DAY_MS
        self._failed_retention_ms = settings.failed_retention_days * DAY_MS

    def _keys_of(self, narration_id: str) -> list[str]:
        """Return a narration's keys in the order of `scripts/prelude.lua`."""
        keys = self._keys
        of_narration = (
            keys.record,
            keys.done,
            keys.waiting,
            keys.delayed,
            keys.leases,
            keys.tokens,
            keys.attempts,
            keys.takes,
            keys.failures,
            keys.reopened,
            keys.log,
        )
        of_item = [key(narration_id) for key in of_narration]
        return [*of_item, keys.active(), keys.suspects(narration_id), keys.lanes(), keys.watch()]

    @property
    def _retention(self) -> str:
        """How long a record stays after the narration has ended, as the scripts want it."""
        return f"{self._retention_ms} {self._failed_retention_ms}"

    def _run(self, script: str, narration_id: str, *arguments: str | int) -> Any:
        with redis_errors(self._settings):
            return self._scripts.run(script, self._keys_of(narration_id), arguments)

    def _hash(self, key: str) -> dict[bytes, bytes]:
        with redis_errors(self._settings):
            return cast("dict[bytes, bytes]", self._client.hgetall(key))
