"""The thread that sends again what got lost: in every worker, one of them at a time.

Celery on Redis can lose a message, and a dead worker's leases run out without anybody saying so. The ledger knows
which items nobody will work on; this thread asks it about every narration under way. It does not know the work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from redis import Redis, RedisError

from producer.contract.errors import QueueUnavailableError
from producer.contract.keys import RedisKeys
from producer.ledger import Resend
from worker.lock import Lock
from worker.pulse import Pulse

logger = logging.getLogger(__name__)

#: Seconds between two passes.
PASS_EVERY_S: Final = 2.0

#: Seconds between two looks at the lock: whoever holds it renews it, the others see whether it is free.
LOOK_EVERY_S: Final = 1.0

#: Seconds of one pass: some ten thousand narrations; the next pass goes on where this one stopped.
PASS_S: Final = 1.0

#: Narrations that are looked at in one round trip.
BATCH_SIZE: Final = 200

#: Seconds after which another worker takes over from one that died while it was the reconciler. A look and the longest
#: pass are half of it, so that a busy machine does not lose it.
LOCK_S: Final = 4.0

#: Seconds after which the sign of life of a worker that was killed is removed from Redis.
FORGET_WORKER_S: Final = 60.0


class Ledger(Protocol):
    """Where lost items are found (`producer.ledger.Ledger`)."""

    def active(self) -> list[str]: ...  # noqa: D102

    def reconcile_many(  # noqa: D102
        self, narration_ids: Sequence[str], *, grace_s: float, heads: Mapping[str, int | None]
    ) -> Sequence[Resend]: ...

    def prune(self, limit: int = 1_000) -> int: ...  # noqa: D102


class Reconciler:
    """Looks after all narrations from `start` until `stop`."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        send: Callable[[Iterable[Resend]], None],
        heads: Callable[[], Mapping[str, int | None]],
        redis: Redis,
        keys: RedisKeys,
        grace_s: float,
    ) -> None:
        """Take what a pass needs.

        Args:
            ledger: says what is lost.
            send: sends messages.
            heads: returns when the oldest message of each queue was sent, in the ledger's milliseconds.
            redis: where the lock is.
            keys: names in Redis.
            grace_s: how long a message may be under way before it can count as lost.
        """
        self._ledger = ledger
        self._send = send
        self._heads = heads
        self._redis = redis
        self._keys = keys
        self._grace_s = grace_s
        self._lock = Lock(redis, keys.reconciler_lock(), lock_s=LOCK_S)
        #: Monotonic second of the next pass, while the lock is ours; 0: at once.
        self._due_s = 0.0
        self._remaining: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and let another worker take over at once."""
        self._stop.set()
        self._thread.join(timeout=PASS_S + 1)
        try:
            self._lock.release()
        except RedisError as error:  # it runs out by itself
            logger.warning("lock_not_released", extra={"reason": str(error)})

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except (QueueUnavailableError, RedisError, OSError) as error:
                logger.warning("reconciler_failed", extra={"reason": str(error)})
            except Exception as error:
                # This thread must outlive a record that it does not understand; the others still need it.
                logger.exception("reconciler_failed", extra={"reason": type(error).__name__})
            if self._stop.wait(LOOK_EVERY_S):
                return

    def look(self) -> int:
        """Make a pass if it is due: at once if the lock has just become ours, for its last holder may have died.

        Returns:
            How many messages were sent.

        Raises:
            QueueUnavailableError, redis.RedisError: Redis cannot be used.
        """
        if not self._lock.hold():
            self._due_s = 0.0
            return 0
        if time.monotonic() < self._due_s:
            return 0
        self._due_s = time.monotonic() + PASS_EVERY_S
        return self.run_once()

    def run_once(self) -> int:
        """Look after narrations for at most `PASS_S` seconds, going on where the last pass stopped.

        Returns:
            How many messages were sent.

        Raises:
            QueueUnavailableError: Redis cannot be used.
        """
        if not self._remaining:
            self._remaining = self._ledger.active()
            self._forget_dead_workers()
            self._ledger.prune()
        # Read before the narrations, so that what is sent meanwhile cannot seem lost.
        heads = self._heads()
        ends_s = time.monotonic() + PASS_S
        num_sent = 0
        while self._remaining:
            narration_ids, self._remaining = self._remaining[:BATCH_SIZE], self._remaining[BATCH_SIZE:]
            resends = self._ledger.reconcile_many(narration_ids, grace_s=self._grace_s, heads=heads)
            if resends:
                self._send(resends)
                num_sent += len(resends)
                num_narrations = len({resend.narration_id for resend in resends})
                logger.info("items_sent_again", extra={"num_items": len(resends), "num_narrations": num_narrations})
            if time.monotonic() >= ends_s or self._stop.is_set():
                break
        return num_sent

    def _forget_dead_workers(self) -> None:
        pulses: Mapping[Any, Any] = self._redis.hgetall(self._keys.workers())
        oldest_s = time.time() - FORGET_WORKER_S
        for name, pulse in pulses.items():
            try:
                is_old = Pulse.from_json(pulse).at_s < oldest_s
            except ValueError:
                is_old = True
            if is_old:
                self._redis.hdel(self._keys.workers(), name)
