"""Which workers are alive, by the heartbeats that they leave in Redis.

Knows nothing of what they do.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from producer.connection import redis_errors
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

#: Seconds after its last heartbeat for which a worker counts as alive; it beats every two seconds.
ALIVE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker process that gave a sign of life a moment ago."""

    name: str
    role: str
    #: None for a process that only splits and assembles.
    engine: str | None


def live_workers(redis: Redis, settings: Settings) -> list[LiveWorker]:
    """Return the workers that are alive, by name.

    Raises:
        QueueUnavailableError: Redis cannot be asked.
    """
    with redis_errors(settings):
        beats = cast("dict[bytes, bytes]", redis.hgetall(RedisKeys(settings.redis_prefix).workers()))
    found = (_worker(name.decode(), raw) for name, raw in sorted(beats.items()))
    return [worker for worker in found if worker is not None]


def _worker(name: str, raw: bytes) -> LiveWorker | None:
    try:
        beat = json.loads(raw)
        if time.time() - float(beat["at_s"]) > ALIVE_S:
            return None
        return LiveWorker(name, str(beat.get("role", "")), beat.get("engine"))
    except (ValueError, TypeError, KeyError):  # of another version; it does not count
        return None
