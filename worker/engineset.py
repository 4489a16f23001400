"""The engines of this process: the one it was started for, and small ones that are loaded when a narration asks.

Knows engines by their Protocol only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from producer.contract.narration import EngineName
from worker.engine.protocol import Engine, EngineHealth
from worker.errors import EngineUnavailableError, WorkerStartError

logger = logging.getLogger(__name__)


class EngineSet:
    """Engines by name. Safe for use from many threads."""

    def __init__(self, primary: Engine | None, others: Mapping[EngineName, Callable[[], Engine]]) -> None:
        """Take the primary engine and how to make the others.

        Args:
            primary: speaks what leaves the engine open; loaded by `load_primary`. None: a worker without engines.
            others: makers of engines that are loaded on demand: those that need no GPU and start in seconds.
        """
        self.primary = primary
        self._makers = {name: make for name, make in others.items() if primary is None or name != primary.name}
        self._engines: dict[EngineName, Engine] = {} if primary is None else {primary.name: primary}
        self._lock = threading.Lock()

    def load_primary(self) -> None:
        """Load the primary engine and speak once; blocks.

        Raises:
            WorkerStartError: this process must not take work.
        """
        if self.primary is not None:
            self.primary.load()
            self.primary.warm_up()

    def get(self, name: EngineName) -> Engine:
        """Return an engine that is ready; AUTO is the primary one.

        Raises:
            EngineUnavailableError: this worker does not have it.
        """
        wanted = self.primary.name if name is EngineName.AUTO and self.primary is not None else name
        engine = self._engines.get(wanted)
        return engine if engine is not None else self._load(wanted)

    def _load(self, name: EngineName) -> Engine:
        with self._lock:
            if name in self._engines:
                return self._engines[name]
            make = self._makers.get(name)
            if make is None:
                raise EngineUnavailableError(f"it waits for a worker with engine {name.value}")
            try:
                engine = make()
                engine.load()
                engine.warm_up()
            except (WorkerStartError, ImportError) as error:
                logger.warning("engine_not_loaded", extra={"engine": name.value, "reason": str(error)})
                del self._makers[name]  # it would fail each time
                raise EngineUnavailableError(f"it waits for a worker with engine {name.value}") from error
            logger.info("engine_loaded", extra={"engine": name.value})
            self._engines[name] = engine
            return engine

    def health(self) -> EngineHealth:
        """Return how all of them do, as if they were one."""
        return EngineHealth.total(engine.health() for engine in list(self._engines.values()))

    def close(self, timeout_s: float) -> None:
        """Let go of all of them."""
        for engine in list(self._engines.values()):
            engine.close(timeout_s)
