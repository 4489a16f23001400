"""A lock in Redis that says which process does the upkeep. Knows nothing of what that is."""

from __future__ import annotations

import secrets
import time
from typing import Final

from redis import Redis

#: Seconds after which another process takes over from one that died.
LOCK_S: Final = 20.0

#: Seconds for which the answer of Redis is believed, so that long work may ask as often as it likes.
BELIEVED_S: Final = 2.0


class Lock:
    """Held by one process at a time. Two for a moment do no harm: all that is done under it may be done twice."""

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key
        self._token = secrets.token_hex(8).encode()
        self._held_until_s = 0.0

    def hold(self) -> bool:
        """Take or keep the lock; return whether it is ours.

        Raises:
            redis.RedisError: as the client raises it.
        """
        if time.monotonic() < self._held_until_s:
            return True
        lock_ms = int(LOCK_S * 1000)
        is_ours = bool(self._redis.set(self._key, self._token, nx=True, px=lock_ms)) or bool(
            self._redis.get(self._key) == self._token and self._redis.pexpire(self._key, lock_ms)
        )
        self._held_until_s = time.monotonic() + BELIEVED_S if is_ours else 0.0
        return is_ours

    def release(self) -> None:
        """Let another process take over at once.

        Raises:
            redis.RedisError: as the client raises it; then it runs out by itself.
        """
        self._held_until_s = 0.0
        if self._redis.get(self._key) == self._token:
            self._redis.delete(self._key)
