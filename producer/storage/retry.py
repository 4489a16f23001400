"""Trying again while S3 is away. Knows nothing of S3 itself.

botocore's own retries are over within a second, so they do not bridge the restart of a server; this does.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from producer.contract.errors import StorageUnavailableError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: First and longest wait between two tries; the real wait is a random part of it, so that workers spread out.
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0


def retrying(
    call: Callable[[], Result],
    *,
    deadline_s: float = 60.0,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Return what `call` returns, calling it again with growing waits while storage is unavailable.

    Args:
        call: must be safe to repeat, as every `put` is.
        deadline_s: no new try begins later than this after the first.
        sleep: waits that many seconds; an event's `wait` lets a drain cut it short.
        clock: monotonic seconds.

    Raises:
        StorageUnavailableError: the last one, when the time is over; at once if another try cannot help.
    """
    begun_s = clock()
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return call()
        except StorageUnavailableError as error:
            pause_s = wait_s * random.uniform(0.5, 1.0)
            if not error.is_retryable or clock() - begun_s + pause_s > deadline_s:
                raise
            logger.warning("storage_retry", extra={"reason": error.args[1], "wait_s": round(pause_s, 3)})
            sleep(pause_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
