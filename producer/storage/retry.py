"""Trying again while S3 is away, and where it is worth it while S3 refuses. Knows nothing of S3 itself.

botocore's own retries are over within a second, so they do not bridge the restart of a server; this does.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from producer.contract.errors import StorageUnavailableError
from producer.storage.errors import StorageRefusedError
from producer.storage.refusals import Refusals

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: First and longest wait between two tries; the real wait is a random part of it, so that workers spread out.
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0

#: Shared by all calls of this process: what refuses one of them refuses the others.
_REFUSALS: Final = Refusals()


def retrying(
    call: Callable[[], Result],
    *,
    deadline_s: float = 60.0,
    is_refusal_final: bool = True,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Return what `call` returns, calling it again with growing waits while storage is unavailable.

    Args:
        call: must be safe to repeat, as every `put` is.
        deadline_s: no new try begins later than this after the first.
        is_refusal_final: whether a refusal (rights, a missing bucket) ends it at once. Not so where giving up throws
            away minutes of a GPU: somebody may mend the bucket within the deadline. The log then says once what to do.
        sleep: waits that many seconds; an event's `wait` lets a drain cut it short.
        clock: monotonic seconds.

    Raises:
        StorageUnavailableError: the last one, when the time is over; at once if another try cannot help.
    """
    begun_s = clock()
    wait_s = FIRST_WAIT_S
    was_refused = False
    while True:
        try:
            result = call()
        except StorageUnavailableError as error:
            is_refusal = isinstance(error, StorageRefusedError)
            pause_s = wait_s * random.uniform(0.5, 1.0)
            if (is_refusal and is_refusal_final) or clock() - begun_s + pause_s > deadline_s:
                raise
            if is_refusal:
                was_refused = True
                _REFUSALS.note(error)
            else:
                logger.warning("storage_retry", extra={"reason": error.args[1], "wait_s": round(pause_s, 3)})
            sleep(pause_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        else:
            if was_refused:
                _REFUSALS.mended()
            return result
