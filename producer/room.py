"""Whether Redis has room for more narrations; asked before anything is stored, so that nothing is half handed in.

Knows nothing of narrations but what each takes. What was accepted needs room as well, so a fifth is kept for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import QueueFullError
from producer.contract.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

#: Fraction of `maxmemory` above which nothing more is handed in.
MAX_FULL: Final = 0.8

#: Bytes of Redis that a narration takes until it is begun: 890 of the record and its sets, 700 of the message.
NARRATION_BYTES: Final = 2_000

#: Seconds between two looks while there is no room, a random part of it more or less: producers come back one by one.
LOOK_S: Final = 1.0


def wait_for_room(
    redis: Redis,
    settings: Settings,
    num_narrations: int,
    *,
    wait_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when Redis has room for so many narrations.

    A server without a limit has room. So has one that does not tell us: it refuses by itself when it is full.

    Args:
        redis: which server.
        settings: name it in errors.
        num_narrations: how many are to be handed in.
        wait_s: seconds to wait for room; 0: none.
        clock: monotonic seconds.
        sleep: waits for seconds.

    Raises:
        QueueFullError: there is no room, and there was none in all that time.
        QueueUnavailableError: Redis cannot be asked.
    """
    ends_s = clock() + wait_s
    while (reason := _shortage(_memory_of(redis, settings), num_narrations)) is not None:
        left_s = ends_s - clock()
        if left_s <= 0:
            raise QueueFullError(settings.redis_address(), reason)
        sleep(min(left_s, LOOK_S * random.uniform(0.5, 1.5)))


def _memory_of(redis: Redis, settings: Settings) -> dict[str, Any]:
    from redis.exceptions import NoPermissionError

    from producer.connection import redis_errors  # brings in redis, which `import producer` should not

    with redis_errors(settings):
        try:
            memory: dict[str, Any] = redis.info("memory")
        except NoPermissionError:
            return {}
    return memory


def _shortage(memory: dict[str, Any], num_narrations: int) -> str | None:
    limit_bytes = int(memory.get("maxmemory", 0))
    if not limit_bytes:
        return None
    used_bytes = int(memory.get("used_memory", 0))
    if used_bytes + num_narrations * NARRATION_BYTES <= MAX_FULL * limit_bytes:
        return None
    full = f"{used_bytes / limit_bytes:.0%} of its memory is in use"
    if num_narrations > 1:
        return f"{full}, and {num_narrations} narrations would bring it above {MAX_FULL:.0%}; nothing was handed in"
    return f"{full}, and above {MAX_FULL:.0%} nothing more is taken; nothing was handed in"
