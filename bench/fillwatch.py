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

_GAUGES: Final = ("num_slots", "num_slots_used", "num_queued", "num_rendering")


class FillWatch:
    """Samples the workers on one embedded stack from a thread of its own, between `with` and its end."""

    def __init__(self, data_dir: Path) -> None:
        """Take the stack's folder; the stack may start later."""
        self._environment_path = data_dir / "environment"
        #: Seconds since the epoch and the gauges of all workers together, at each look.
        self._looks: list[tuple[float, dict[str, float]]] = []
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
        """Return how many slots there were, how many of them spoke and what was before and behind them, on the average.

        Args:
            from_s: look no further back, in seconds since the epoch.
            to_s: and no further ahead.
        """
        looks = [gauges for at_s, gauges in self._looks if from_s <= at_s <= to_s]
        if not looks:
            return {"num_slots": 0, "mean_slots_used": None, "most_slots_used": 0}
        used, queued, rendering = (
            [gauges[name] for gauges in looks] for name in ("num_slots_used", "num_queued", "num_rendering")
        )
        return {
            "num_slots": round(max(gauges["num_slots"] for gauges in looks)),
            "mean_slots_used": round(statistics.mean(used), 1),
            "most_slots_used": round(max(used)),
            "mean_queued": round(statistics.mean(queued), 1),
            "mean_rendering": round(statistics.mean(rendering), 1),
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
            totals = {name: sum(gauge.get(name, 0.0) for gauge in gauges) for name in _GAUGES}
            self._looks.append((time.time(), totals))
