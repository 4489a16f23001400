"""The connections of a worker to Redis and S3, and the wait for both at its start.

Knows nothing of what they are used for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from redis import Redis

from producer.connection import check_redis, connect_redis, redis_errors
from producer.contract.errors import QueueUnavailableError, StorageUnavailableError
from producer.storage import ObjectStore
from producer.storage.inventory import BucketInventory
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

#: Seconds that a task waits for an answer of Redis, and how often it asks again: a restart takes some seconds, and
#: what a task has made is worth the wait.
PATIENT_TIMEOUT_S: Final = 5.0
PATIENT_RETRIES: Final = 12

#: Seconds that the background threads wait: the sign of life must not stop because Redis does.
QUICK_TIMEOUT_S: Final = 2.0

#: Seconds between two looks at a service that is still starting.
_LOOK_S: Final = 1.0


def patient_redis(settings: WorkerSettings) -> Redis:
    """Return the connection of the tasks, which outlives a restart of Redis."""
    return connect_redis(settings, timeout_s=PATIENT_TIMEOUT_S, retries=PATIENT_RETRIES)


def quick_redis(settings: WorkerSettings) -> Redis:
    """Return the connection of the background threads, which gives up soon and tries again with the next beat."""
    return connect_redis(settings, timeout_s=QUICK_TIMEOUT_S)


def wait_for_redis(settings: WorkerSettings) -> None:
    """Return once Redis answers; log what is unsafe about it.

    Raises:
        QueueUnavailableError: it does not answer in the time that a start may take, or refuses us.
    """
    _wait_for(lambda: _check_redis(settings), settings.start_wait_s)


def wait_for_storage(settings: WorkerSettings, num_threads: int) -> ObjectStore:
    """Return the object store once it can be written and read.

    Raises:
        StorageUnavailableError: it cannot in the time that a start may take, or refuses us.
    """
    store = ObjectStore.connect(
        settings,
        connect_timeout_s=5,
        read_timeout_s=30,
        max_attempts=3,
        max_connections=max(16, num_threads + 4),
        is_direct=True,
    )
    _wait_for(lambda: _check_storage(settings, store), settings.start_wait_s)
    return store


def inventory_store(settings: WorkerSettings) -> BucketInventory:
    """Return the object store of the upkeep, which lists and clears, on connections of its own."""
    return BucketInventory.connect(settings, connect_timeout_s=5, read_timeout_s=30, max_attempts=3)


def _check_redis(settings: WorkerSettings) -> None:
    with redis_errors(settings), connect_redis(settings) as probe:
        for problem in check_redis(probe):
            logger.warning("redis_unsafe", extra={"problem": problem})


def _check_storage(settings: WorkerSettings, store: ObjectStore) -> None:
    store.ensure_bucket()
    for problem in store.check():
        raise StorageUnavailableError(settings.s3_address(), problem)


def _wait_for(check: Callable[[], None], patience_s: float) -> None:
    ends_s = time.monotonic() + patience_s
    while True:
        try:
            check()
        except (QueueUnavailableError, StorageUnavailableError) as error:
            if not error.is_retryable or time.monotonic() >= ends_s:
                raise
            logger.warning("service_awaited", extra={"reason": str(error)})
            time.sleep(_LOOK_S)
        else:
            return
