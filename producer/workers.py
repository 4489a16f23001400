"""Which workers are alive, by the heartbeats that they leave in Redis.

Knows nothing of what they do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

#: Seconds after its last heartbeat for which a worker counts as alive; it beats every two seconds.
ALIVE_S: Final = 30.0

_GAUGES: Final = (
    "num_slots_used",
    "num_slots",
    "num_queued",
    "num_rendering",
    "tokens_per_s",
    "audio_s_per_s",
    "used_bytes",
)


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker process that gave a sign of life a moment ago."""

    name: str
    role: str
    #: None for a process that only splits and assembles.
    engine: str | None
    #: What its engine does at this moment, if it speaks many segments at once: slots, queue, rates, memory.
    gauges: Mapping[str, float] | None = None

    def __str__(self) -> str:
        """Return one line about it."""
        line = f"{self.name}: {self.engine or 'no engine'}, role {self.role}"
        return f"{line}, {_in_words(self.gauges)}" if self.gauges else line


def live_workers(redis: Redis, settings: Settings) -> list[LiveWorker]:
    """Return the workers that are alive, by name.

    Raises:
        QueueUnavailableError: Redis cannot be asked.
    """
    from producer.connection import redis_errors  # brings in redis, which `import producer` should not

    with redis_errors(settings):
        beats = cast("dict[bytes, bytes]", redis.hgetall(RedisKeys(settings.redis_prefix).workers()))
    found = (_worker(name.decode(), raw) for name, raw in sorted(beats.items()))
    return [worker for worker in found if worker is not None]


def _worker(name: str, raw: bytes) -> LiveWorker | None:
    try:
        beat = json.loads(raw)
        if time.time() - float(beat["at_s"]) > ALIVE_S:
            return None
        return LiveWorker(name, str(beat.get("role", "")), beat.get("engine"), beat.get("gauges"))
    except (ValueError, TypeError, KeyError):  # of another version; it does not count
        return None


def _in_words(gauges: Mapping[str, float]) -> str:
    """Return gauges as a person reads them; those that another version left out are 0."""
    number = {name: gauges.get(name, 0.0) for name in _GAUGES}
    return (
        f"{number['num_slots_used']:.0f} of {number['num_slots']:.0f} slots, {number['num_queued']:.0f} queued, "
        f"{number['num_rendering']:.0f} rendering, {number['tokens_per_s']:.0f} tokens/s, "
        f"{number['audio_s_per_s']:.1f} s of audio per second, {number['used_bytes'] / 2**30:.1f} GiB"
    )
