"""The thread that keeps a process's claims alive and says that the process is.

Every two seconds it renews the leases in the ledger, tells the broker that the messages are still in work, and writes
the pulse: a file for the health check, and a field in Redis for `chatterqueue doctor`. It does not know the work.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final, Protocol

from redis import Redis, RedisError

from producer.contract.errors import QueueUnavailableError
from producer.contract.keys import RedisKeys
from worker.engine.protocol import EngineHealth
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.pulse import Pulse, pulse_path

logger = logging.getLogger(__name__)

#: Seconds between two beats, unless a third of the lease is less.
BEAT_S: Final = 2.0

#: Seconds after the end of a drain at which whatever still runs is given up and the process ends.
OVERDUE_S: Final = 5.0


class Leases(Protocol):
    """Where leases are renewed (`producer.ledger.Ledger`)."""

    def renew(self, leases: Iterable[tuple[str, str, str]]) -> list[bool]: ...  # noqa: D102


class Heartbeat:
    """Beats from `start` until `stop`."""

    def __init__(
        self,
        *,
        ledger: Leases,
        redis: Redis,
        keys: RedisKeys,
        unacked_index: str,
        book: LeaseBook,
        drain: Drain,
        health: Callable[[], EngineHealth],
        pulse: Pulse,
        folder: Path,
        slot: str,
        lease_s: float,
        on_broken: Callable[[], None],
        on_overdue: Callable[[], None],
    ) -> None:
        """Take what a beat needs.

        Args:
            ledger: where leases are renewed.
            redis: where the pulse and the delivery tags are kept.
            keys: names in Redis.
            unacked_index: kombu's sorted set of delivered messages: tag -> second of delivery.
            book: what this process holds.
            drain: whether the process is going down.
            health: asks the engines.
            pulse: what does not change from beat to beat: name, pid, role, engine.
            folder: of the pulse file.
            slot: name of the pulse file.
            lease_s: how long a lease lasts.
            on_broken: called at every beat while an engine is broken.
            on_overdue: called once when a drain does not end.
        """
        self._ledger = ledger
        self._redis = redis
        self._keys = keys
        self._unacked_index = unacked_index
        self._book = book
        self._drain = drain
        self._health = health
        self._pulse = pulse
        self._folder = folder
        self._slot = slot
        self._interval_s = min(BEAT_S, lease_s / 3)
        self._on_broken = on_broken
        self._on_overdue = on_overdue
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._is_serving = False

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def serve(self) -> None:
        """Say from now on that the process takes work."""
        self._is_serving = True
        self._beat()

    def stop(self) -> None:
        """Stop beating and take back every sign of life."""
        self._stop.set()
        self._thread.join(timeout=self._interval_s + 1)
        pulse_path(self._folder, self._slot).unlink(missing_ok=True)
        try:
            self._redis.hdel(self._keys.workers(), self._pulse.name)
        except RedisError as error:  # it goes when the reconciler sees how old it is
            logger.warning("pulse_not_removed", extra={"reason": str(error)})

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._beat()

    def _beat(self) -> None:
        for step in (self._write_pulse, self._renew_leases, self._touch_messages, self._report):
            try:
                step()
            except (QueueUnavailableError, RedisError, OSError) as error:
                # Nothing is lost yet: a lease that ran out is renewed too, as long as nobody else took the item.
                logger.warning("heartbeat_failed", extra={"step": step.__name__, "reason": str(error)})
        if self._health().is_broken:
            self._on_broken()
        if self._drain.is_overdue(OVERDUE_S):
            self._on_overdue()

    def _renew_leases(self) -> None:
        leases = self._book.leases()
        if not leases:
            return
        are_held = self._ledger.renew([(lease.narration_id, lease.item, lease.token) for lease in leases])
        for lease, is_held in zip(leases, are_held, strict=True):
            lease.is_lost = not is_held

    def _touch_messages(self) -> None:
        """Renew the delivery of every message in work; XX, so that one acknowledged meanwhile does not come back."""
        tags = self._book.tags()
        if tags:
            now_s = time.time()  # kombu compares with the clock of whichever worker sweeps
            self._redis.zadd(self._unacked_index, dict.fromkeys(tags, now_s), xx=True)

    def _current_pulse(self) -> Pulse:
        health = self._health()
        return Pulse(
            name=self._pulse.name,
            pid=os.getpid(),
            role=self._pulse.role,
            engine=self._pulse.engine,
            is_ready=self._is_serving and health.is_ready,
            is_draining=self._drain.is_on,
            num_in_flight=health.num_in_flight,
            stalled_s=round(health.stalled_s, 1),
            gauges=asdict(health.gauges) if health.gauges is not None else None,
        )

    def _write_pulse(self) -> None:
        self._current_pulse().write(self._folder, self._slot)

    def _report(self) -> None:
        if self._is_serving:
            self._redis.hset(self._keys.workers(), self._pulse.name, self._current_pulse().to_json())
