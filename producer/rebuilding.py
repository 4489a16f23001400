"""Asking for the ledger to be rebuilt. The workers do it: this removes the mark by which they know Redis, and waits.

Knows nothing of what a rebuild does.
"""

from __future__ import annotations

import time
from typing import Any, Final

from producer.connection import connect_redis, redis_errors
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings

#: Seconds between two looks.
_LOOK_S: Final = 0.2

#: What the mark begins with while a worker is at it.
UNSETTLED: Final = "rebuilding:"


def rebuild_ledger(settings: Settings, *, timeout_s: float) -> bool:
    """Have the ledger rebuilt; return whether that was done in time.

    Raises:
        QueueUnavailableError: Redis cannot be used.
    """
    key = RedisKeys(settings.redis_prefix).epoch()
    ends_s = time.monotonic() + timeout_s
    with redis_errors(settings), connect_redis(settings) as redis:
        redis.delete(key)
        while time.monotonic() < ends_s:
            value: Any = redis.get(key)
            if value is not None and not value.decode().startswith(UNSETTLED):
                return True
            time.sleep(_LOOK_S)
    return False
