"""Looks at how full the engines of a farm are while it works, by the gauges that their workers leave in Redis.

Knows nothing of what they speak.
"""

from __future__ import annotations

import contextlib
import shlex
import statistics
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from producer.connection import connect_redis
from producer.contract.errors import ChatterqueueError
from producer.contract.settings import Settings
from producer.workers import live_workers

#: Seconds between two looks; workers beat every two.
INTERVAL_S: Final = 1.0


class FillWatch:
    """Samples the workers on one embedded stack from a thread of its own, between `with` and its end."""

    def __init__(self, data_dir: Path) -> None:
        """Take the stack's folder; the stack may start later."""
        self._environment_path = data_dir / "environment"
        #: (seconds since the epoch, segments being decoded, slots), at each look.
        self._looks: list[tuple[float, float, float]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fill-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def summary(self, from_s: float = 0.0, to_s: float = float("inf")) -> dict[str, Any]:
        """Return how many slots there were and how many of them spoke, in a span of seconds since the epoch."""
        looks = [(used, slots) for at_s, used, slots in self._looks if from_s <= at_s <= to_s]
        return {
            "num_slots": round(max((slots for _, slots in looks), default=0)),
            "mean_slots_used": round(statistics.mean(used for used, _ in looks), 1) if looks else None,
            "most_slots_used": round(max((used for used, _ in looks), default=0)),
        }

    def _watch(self) -> None:
        while not self._is_over.wait(INTERVAL_S):
            if url := self._redis_url():
                with contextlib.suppress(ChatterqueueError):
                    self._look(Settings.load(redis_url=url))

    def _redis_url(self) -> str | None:
        try:
            lines = self._environment_path.read_text("utf-8").splitlines()
        except OSError:
            return None
        variables = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        return variables.get("CHATTERQUEUE_REDIS_URL")

    def _look(self, settings: Settings) -> None:
        with connect_redis(settings) as redis:
            gauges = [worker.gauges for worker in live_workers(redis, settings) if worker.gauges]
        if gauges:
            totals = [sum(gauge.get(name, 0.0) for gauge in gauges) for name in ("num_slots_used", "num_slots")]
            self._looks.append((time.time(), totals[0], totals[1]))
