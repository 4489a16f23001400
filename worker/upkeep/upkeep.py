"""The thread that does the upkeep: in every worker, one of them at a time. It does not know the work on narrations."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from redis import Redis, RedisError

from producer.contract.errors import QueueUnavailableError, StorageUnavailableError
from producer.contract.keys import RedisKeys
from producer.contract.status import State
from producer.ledger import Ledger
from producer.ledger.restoring import Restoring
from producer.messages import Messenger
from producer.storage.inventory import BucketInventory
from worker.heartbeat import BEAT_S
from worker.lock import Lock
from worker.narration.recipe import Recipe
from worker.settings import WorkerSettings
from worker.upkeep.epoch import Epoch
from worker.upkeep.found import SUBMIT_GRACE_S
from worker.upkeep.janitor import Janitor
from worker.upkeep.keepsakes import Keepsakes
from worker.upkeep.rebuild import BrokenOffError, Rebuild
from worker.upkeep.restorer import Restorer
from worker.upkeep.segmentsweep import SegmentSweep

logger = logging.getLogger(__name__)

#: Seconds between two looks: one question to Redis each, and one for the narrations under way.
PASS_EVERY_S: Final = 2.0

#: Seconds after which another process takes over from one that died; a rebuild renews it every few hundred segments.
LOCK_S: Final = 20.0

#: Seconds between seeing that the ledger has lost something and putting it back. In this time every process has beaten
#: once more and knows that its claims are gone; else it would go on to speak what another is given anew.
NOTICE_S: Final = BEAT_S + 1.0

#: Seconds until a rebuild is begun again that could not be ended, doubled each time up to the longest.
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 60.0

_DAY_S: Final = 86_400.0


class Upkeep:
    """Works from `start` until `stop`."""

    def __init__(
        self,
        *,
        settings: WorkerSettings,
        redis: Redis,
        ledger: Ledger,
        restoring: Restoring,
        store: BucketInventory,
        messenger: Messenger,
        identity: Callable[[Recipe], str | None],
        worker: str,
    ) -> None:
        """Take what the upkeep needs.

        Args:
            settings: say how long things stay, and what is cleared away.
            redis: where the epoch and the lock are.
            ledger: cancels, and says what is under way.
            restoring: puts records back.
            store: the bucket.
            messenger: sends what a rebuild makes due.
            identity: this process's own engine for a recipe; None if it has none.
            worker: this process's name.
        """
        keys = RedisKeys(settings.redis_prefix)
        self._wanted_s = settings.retention_days * _DAY_S
        self._failed_s = settings.failed_retention_days * _DAY_S
        self._longest_retention_s = max(self._wanted_s, self._failed_s)
        self._lock = Lock(redis, keys.upkeep_lock(), lock_s=LOCK_S)
        self._epoch = Epoch(redis, keys)
        self._keepsakes = Keepsakes(redis, keys, store)
        self._store = store
        self._ledger = ledger
        self._restoring = restoring
        self._restorer = Restorer(
            ledger=restoring,
            store=store,
            messenger=messenger,
            retention_s=self._retention_s,
            identity=identity,
            worker=worker,
            on_progress=self._check,
        )
        sweep = SegmentSweep(store, keep_days=settings.keep_segments_days, is_idle=lambda: not ledger.active())
        self._janitor = Janitor(
            store=store,
            records=restoring,
            retention_s=self._longest_retention_s,
            upload_grace_s=settings.upload_grace_s,
            sweep=sweep.run_once,
        )
        self._janitor_every_s = settings.janitor_every_s
        self._janitor_at_s = time.monotonic() + settings.janitor_every_s
        #: Monotonic second of the next rebuild; None while nothing is lost.
        self._rebuild_at_s: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and let another worker take over at once."""
        self._stop.set()
        self._thread.join(timeout=PASS_EVERY_S + 1)
        try:
            self._lock.release()
        except RedisError as error:  # it runs out by itself
            logger.warning("lock_not_released", extra={"reason": str(error)})

    def _run(self) -> None:
        while not self._stop.wait(PASS_EVERY_S):
            try:
                if self._lock.hold():
                    self.run_once()
            except (QueueUnavailableError, StorageUnavailableError, RedisError, OSError) as error:
                logger.warning("upkeep_failed", extra={"reason": str(error)})
            except BrokenOffError:
                logger.info("rebuild_broken_off")
            except Exception as error:
                # This thread must outlive an object that it does not understand; a rebuild may be needed later.
                logger.exception("upkeep_failed", extra={"reason": type(error).__name__})

    def run_once(self) -> None:
        """Look at the epoch, and do what is due.

        Raises:
            BrokenOffError: the process is told to stop.
            QueueUnavailableError, StorageUnavailableError, redis.RedisError: a service cannot be used.
        """
        if not self._epoch.is_settled():
            # Nothing else before that: an emptied ledger says nothing about what is needed.
            if self._rebuild_at_s is None:
                self._rebuild_at_s = time.monotonic() + NOTICE_S
            if time.monotonic() >= self._rebuild_at_s:
                self._rebuild()
            return
        self._rebuild_at_s = None
        self._keepsakes.run_once()
        if time.monotonic() >= self._janitor_at_s:
            self._janitor_at_s = time.monotonic() + self._janitor_every_s
            self._janitor.run_once()

    def _rebuild(self) -> None:
        self._rebuild_at_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        begun_s = time.monotonic()
        self._epoch.begin()
        rebuild = Rebuild(
            store=self._store,
            ledger=self._restoring,
            restorer=self._restorer,
            cancel=self._ledger.cancel,
            longest_retention_s=self._longest_retention_s,
            may_go_on=self._may_go_on,
        )
        rebuild.run()
        is_settled = not rebuild.is_unfinished and self._epoch.settle()
        counts = {f"num_{stage}": number for stage, number in sorted(rebuild.counts.items())}
        fields = {"is_settled": is_settled, "took_s": round(time.monotonic() - begun_s, 3), **counts}
        logger.log(logging.WARNING if counts else logging.INFO, "ledger_rebuilt", extra=fields)
        self._pause_s = FIRST_PAUSE_S
        self._rebuild_at_s = time.monotonic() + SUBMIT_GRACE_S / 3 if rebuild.is_unfinished else None

    def _retention_s(self, state: State) -> float:
        return self._wanted_s if state in {State.SUCCEEDED, State.CANCELLED} else self._failed_s

    def _may_go_on(self) -> bool:
        return not self._stop.is_set() and self._lock.hold()

    def _check(self) -> None:
        if not self._may_go_on():
            raise BrokenOffError
