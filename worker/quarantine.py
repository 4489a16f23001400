"""Where messages go that no worker may see: a short list in Redis, a count for each reason, and a line in the log.

It keeps a message's hash, size, reason, queue and time, and not its content: whoever wrote it may have put a text or
a secret in it, and neither belongs in Redis or a log. The hash tells whether two are the same and finds the sender's
own copy. Knows nothing of what makes a message good.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from redis import Redis

from producer.connection import connect_redis, redis_errors
from producer.contract.errors import QueueUnavailableError
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings

logger = logging.getLogger(__name__)

#: Messages that are remembered: 250 kB. The counts go on.
MAX_REMEMBERED: Final = 1_000

#: Seconds that the worker's one reading thread may wait for Redis here.
_TIMEOUT_S: Final = 2.0


class Quarantine:
    """The quarantine of one farm; nothing is connected before the first message."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = RedisKeys(settings.redis_prefix)
        self._lock = threading.Lock()

    @cached_property
    def _redis(self) -> Redis:
        return connect_redis(self._settings, timeout_s=_TIMEOUT_S)

    def put(self, raw: bytes, queue: str, reason: str) -> None:
        """Take note of a message that was taken out of a queue; never fails, for the message is gone either way."""
        entry = {
            "sha256": hashlib.sha256(raw).hexdigest(),
            "size_bytes": len(raw),
            "reason": str(reason),
            "queue": queue,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        logger.warning("message_quarantined", extra=entry)
        try:
            with self._lock, redis_errors(self._settings), self._redis.pipeline(transaction=True) as pipeline:
                pipeline.lpush(self._keys.quarantine(), json.dumps(entry))
                pipeline.ltrim(self._keys.quarantine(), 0, MAX_REMEMBERED - 1)
                pipeline.hincrby(self._keys.quarantined(), str(reason), 1)
                pipeline.execute()
        except QueueUnavailableError as error:
            logger.warning("quarantine_not_written", extra={"reason": str(error)})
