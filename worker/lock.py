"""A lock in Redis that says which process does what only one has to do. Knows nothing of what that is."""

from __future__ import annotations

import secrets
import time
from typing import Final

from redis import Redis

#: Seconds for which the answer of Redis is believed, so that long work may ask as often as it likes.
BELIEVED_S: Final = 1.0

#: Both look and act in one step, so that a process that stood still cannot touch the lock of whoever took over.
_KEEP: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lock:
    """Held by one process at a time. Two for a moment do no harm: all that is done under it may be done twice."""

    def __init__(self, redis: Redis, key: str, *, lock_s: float) -> None:
        """Take what a lock needs.

        Args:
            redis: where it is.
            key: its name there.
            lock_s: seconds after which another process takes over from one that died; several times `BELIEVED_S`.
        """
        self._key = key
        self._lock_ms = round(lock_s * 1000)
        self._token = secrets.token_hex(8)
        self._believed_until_s = 0.0
        self._keep = redis.register_script(_KEEP)
        self._release = redis.register_script(_RELEASE)

    def hold(self) -> bool:
        """Take or keep the lock; return whether it is ours.

        Raises:
            redis.RedisError: as the client raises it.
        """
        asked_s = time.monotonic()
        if asked_s < self._believed_until_s:
            return True
        is_ours = bool(self._keep(keys=[self._key], args=[self._token, self._lock_ms]))
        # From before the question: the answer may have been long on its way.
        self._believed_until_s = asked_s + BELIEVED_S if is_ours else 0.0
        return is_ours

    def release(self) -> None:
        """Let another process take over at once.

        Raises:
            redis.RedisError: as the client raises it; then it runs out by itself.
        """
        self._believed_until_s = 0.0
        self._release(keys=[self._key], args=[self._token])
