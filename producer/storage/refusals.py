"""What the log says of an S3 server that refuses us: once what is wrong and what to do, and once that it is mended.

Knows nothing of who is refused: a process may hold hundreds of takes that all wait for the same bucket.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from producer.contract.errors import StorageUnavailableError

logger = logging.getLogger(__name__)

#: Seconds after which a refusal that lasts is said again, so that a log that was rotated still names it.
SAY_AGAIN_S: Final = 600.0


class Refusals:
    """The refusals of one process that are not mended yet. Safe for use from threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: Address and reason -> monotonic second at which it was said last.
        self._said_s: dict[tuple[str, str], float] = {}

    def note(self, error: StorageUnavailableError) -> None:
        """Say what is wrong and what to do, unless that was said lately."""
        address, reason = str(error.args[0]), str(error.args[1])
        with self._lock:
            said_s, now_s = self._said_s.get((address, reason)), self._clock()
            if said_s is not None and now_s - said_s < SAY_AGAIN_S:
                return
            self._said_s[address, reason] = now_s
        fields = {"address": address, "reason": reason, "remedy": error.remedy}
        logger.error("storage_refused", extra=fields)

    def mended(self) -> None:
        """Say that S3 accepts what it refused; nothing if it refused nothing."""
        with self._lock:
            had_refused = bool(self._said_s)
            self._said_s.clear()
        if had_refused:
            logger.info("storage_accepts_again")
