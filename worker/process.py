"""What one worker process is made of, put together: connections, engines, use cases, background threads.

The only module that knows the real classes behind the Protocols; `worker.app` hands it the settings.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from redis import Redis

from producer.contract.keys import RedisKeys
from producer.contract.narration import EngineName
from producer.contract.routing import Role, transport_options
from producer.ledger import MAX_WINDOW, Ledger
from producer.ledger.restoring import Restoring
from producer.messages import Messenger, oldest_sent_ms, producer_app
from producer.storage import ObjectStore
from worker import runtime
from worker.audio import assemble
from worker.codec import SegmentCodec
from worker.engine.protocol import Engine
from worker.engine.selection import build_engine, choose_engine
from worker.engineset import EngineSet
from worker.errors import EngineUnavailableError
from worker.exitstatus import ENGINE_FAULT_STATUS
from worker.handover import hand_over
from worker.heartbeat import Heartbeat
from worker.narration.assembling import Assembler
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import Lease, LeaseBook
from worker.narration.planning import Planner
from worker.narration.recipe import Recipe, RecipeShelf
from worker.narration.synthesis import Synthesizer
from worker.pulse import Pulse, clear_dead
from worker.quality import Gate
from worker.quality.hearing import find_hearing
from worker.reconciler import Reconciler
from worker.runtime import Runtime
from worker.services import inventory_store, patient_redis, quick_redis, wait_for_redis, wait_for_storage
from worker.settings import WorkerSettings
from worker.text import split
from worker.upkeep import Upkeep
from worker.voices import VoiceShelf

logger = logging.getLogger(__name__)

#: Threads beside those for segments, so that a long assembly does not keep the engine waiting.
NUM_SPARE_THREADS = 2

#: Threads of a process without an engine: one interpreter assembles no faster with more, and waits for S3 meanwhile.
NUM_CPU_THREADS = 4

#: Engines that any worker can load in seconds without a GPU.
_SMALL_ENGINES = (EngineName.TONE, EngineName.DRAFT)


class WorkerProcess:
    """One process: `start` blocks until it could work, `serve` says that it does, `stop` lets go."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Choose the engine; nothing is loaded or connected yet.

        Raises:
            WorkerStartError: no engine can be used.
        """
        self._settings = settings
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.drain = Drain(settings.drain_s)
        self._book = LeaseBook()
        self._keys = RedisKeys(settings.redis_prefix)
        self._engines = EngineSet(self._choose_engine(), self._small_engines())
        self._heartbeat: Heartbeat | None = None
        self._reconciler: Reconciler | None = None
        self._upkeep: Upkeep | None = None
        self._gate: Gate | None = None
        #: What the process ends with: not 0 once its engine is broken.
        self.exit_status = 0

    def _choose_engine(self) -> Engine | None:
        if self._settings.role is Role.CPU:
            return None
        name, why = choose_engine(self._settings)
        logger.info("engine_chosen", extra={"engine": name.value, "why": why})
        return build_engine(name, self._settings)

    def _small_engines(self) -> Mapping[EngineName, Callable[[], Engine]]:
        if self._settings.role is Role.CPU:
            return {}
        return {name: partial(build_engine, name, self._settings) for name in _SMALL_ENGINES}

    @property
    def concurrency(self) -> int:
        """How many items to hold at once: twice what the engine works on, so that it never waits for the next."""
        if self._settings.concurrency is not None:
            return self._settings.concurrency
        primary = self._engines.primary
        if primary is None:
            return NUM_CPU_THREADS
        return 2 * primary.num_slots + (NUM_SPARE_THREADS if self._settings.role is Role.ALL else 0)

    def start(self) -> None:
        """Connect to Redis and S3, load and warm up the engine, start the background threads.

        Raises:
            QueueUnavailableError: Redis cannot be used.
            StorageUnavailableError: S3 cannot be used.
            WorkerStartError: the engine cannot be used.
        """
        settings = self._settings
        clear_dead(settings.heartbeat_dir)
        wait_for_redis(settings)
        store = wait_for_storage(settings, self.concurrency)
        begun_s = time.monotonic()
        self._engines.load_primary()
        load_s = round(time.monotonic() - begun_s, 2)
        logger.info("engine_loaded", extra={"engine": self._engine_name, "load_s": load_s})
        messenger = Messenger(producer_app(settings), settings)
        self._install_use_cases(self._ledger_on(patient_redis(settings)), messenger, store)
        self._start_upkeep(quick_redis(settings), messenger)

    @property
    def _engine_name(self) -> str | None:
        return self._engines.primary.name.value if self._engines.primary is not None else None

    def _ledger_on(self, redis: Redis) -> Ledger:
        settings = self._settings
        return Ledger(
            redis,
            settings,
            lease_s=settings.lease_s,
            window=max(settings.window, min(2 * self.concurrency, MAX_WINDOW)),
            max_attempts=settings.max_attempts,
            max_ends=settings.max_ends,
        )

    def _install_use_cases(self, ledger: Ledger, messenger: Messenger, store: ObjectStore) -> None:
        attempts = Attempts(
            ledger=ledger,
            messenger=messenger,
            book=self._book,
            drain=self.drain,
            worker=self.name,
            end_process=self._end,
        )
        self._gate = self._build_gate()
        runtime.install(
            Runtime(
                planner=Planner(attempts=attempts, ledger=ledger, store=store, split=split),
                synthesizer=Synthesizer(
                    attempts=attempts,
                    ledger=ledger,
                    store=store,
                    engines=self._engines,
                    voices=VoiceShelf(store, self._settings.cache_dir / "voices"),
                    recipes=RecipeShelf(store),
                    codec=SegmentCodec(),
                    gate=self._gate,
                    worker=self.name,
                ),
                assembler=Assembler(attempts=attempts, ledger=ledger, store=store, assemble=assemble),
                book=self._book,
            )
        )

    def _build_gate(self) -> Gate:
        settings = self._settings
        num_threads = settings.asr_threads or max(1, (os.cpu_count() or 1) // 4)
        hearing, why = find_hearing(settings.asr_model_dir, num_threads=num_threads)
        logger.info(
            "gate_built", extra={"max_retakes": settings.max_retakes, "can_hear": hearing is not None, "why": why}
        )
        return Gate(max_retakes=settings.max_retakes, hearing=hearing)

    def _start_upkeep(self, redis: Redis, messenger: Messenger) -> None:
        settings = self._settings
        ledger = self._ledger_on(redis)
        heads = partial(oldest_sent_ms, redis, settings)
        self._heartbeat = Heartbeat(
            ledger=ledger,
            redis=redis,
            keys=self._keys,
            unacked_index=f"{transport_options(settings.redis_prefix)['global_keyprefix']}unacked_index",
            book=self._book,
            drain=self.drain,
            health=self._engines.health,
            pulse=Pulse(name=self.name, pid=os.getpid(), role=settings.role.value, engine=self._engine_name),
            folder=settings.heartbeat_dir,
            slot=settings.slot or f"pid-{os.getpid()}",
            lease_s=settings.lease_s,
            on_broken=lambda: self._end("the engine is broken, and nobody waits for it"),
            on_overdue=lambda: self._leave(partial(hand_over, ledger=ledger, send=messenger.send, heads=heads)),
        )
        self._reconciler = Reconciler(
            ledger=ledger,
            send=messenger.send,
            heads=heads,
            redis=redis,
            keys=self._keys,
            grace_s=settings.lost_after_s,
        )
        self._upkeep = Upkeep(
            settings=settings,
            redis=redis,
            ledger=ledger,
            restoring=Restoring(redis, settings),
            store=inventory_store(settings),
            messenger=messenger,
            identity=self._own_identity,
            worker=self.name,
        )
        self._heartbeat.start()
        self._reconciler.start()
        self._upkeep.start()

    def _own_identity(self, recipe: Recipe) -> str | None:
        """Return the identity of this process's own engine if that could speak a recipe."""
        primary = self._engines.primary
        if primary is None or recipe.engine not in {EngineName.AUTO, primary.name}:
            return None
        try:
            return primary.identity(recipe.model)
        except EngineUnavailableError:
            return None

    def serve(self) -> None:
        """Say that work is taken from now on."""
        if self._heartbeat is not None:
            self._heartbeat.serve()
        fields = {"worker": self.name, "role": self._settings.role.value, "concurrency": self.concurrency}
        logger.info("worker_ready", extra={**fields, "engine": self._engine_name})

    def stop(self) -> None:
        """Let go of everything; safe to call twice."""
        if self._reconciler is not None:
            self._reconciler.stop()
        if self._upkeep is not None:
            self._upkeep.stop()
        self._engines.close(timeout_s=1.0)
        if self._gate is not None:
            self._gate.close()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        logger.info("worker_stopped", extra={"worker": self.name})

    def _end(self, reason: str) -> None:
        """End this process, because only a new one can go on; the supervisor starts it. From any thread, repeatedly."""
        self.drain.begin()  # before the signal arrives: nothing is claimed any more
        if self.exit_status:
            return
        self.exit_status = ENGINE_FAULT_STATUS
        logger.critical("worker_ends", extra={"worker": self.name, "reason": reason})
        os.kill(os.getpid(), signal.SIGTERM)

    def _leave(self, give_back: Callable[[Sequence[Lease]], None]) -> None:
        """End this process at once, with everything that it still holds given back."""
        leases = self._book.leases()
        logger.critical("drain_overdue", extra={"worker": self.name, "num_leases": len(leases)})
        try:
            give_back(leases)
        finally:
            os._exit(self.exit_status)
