"""Celery's threads pool, made safe: a slot that is lost ends the process instead of leaving a worker that does nothing.

Knows nothing of what runs in it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadsPool

logger = logging.getLogger(__name__)

#: Seconds after which a thread that computes in Python makes way for one that waits; ten times as many by default. A
#: segment needs its turn a hundred times, for a moment each, and beside a book that is being split it would wait 5 ms
#: for each. The two threads of the engine's channel wait behind all of them, and let fewer takes through than a GPU
#: makes. It costs nothing where all of them compute: assemblies are as fast (`python -m bench.assemblers`).
SWITCH_INTERVAL_S: Final = 0.0005


class TaskPool(ThreadsPool):  # type: ignore[misc]  # Celery has no types
    """Threads that wait for the engine; one of them batches for all.

    In the stock pool a task that ends with MemoryError or SystemExit, or whose acknowledgement fails, is never
    acknowledged and its slot is gone for ever: the worker answers pings and runs less and less. Our tasks let no
    such error out, so if one comes through, something is wrong that only a new process mends.
    """

    def on_start(self) -> None:
        """Have the threads take shorter turns."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> Any:
        """Run a task in a thread."""
        return ApplyResult(self.executor.submit(self._run, target, args, kwargs, callback, accept_callback))

    def _run(self, *call: Any) -> Any:
        try:
            return apply_target(*call)
        except BaseException as error:
            logger.critical("slot_lost", extra={"error": type(error).__name__})
            # A warm shutdown: what the other threads do is finished or given back, unacknowledged messages restored.
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Say that a thread cannot be ended; without this SIGQUIT ends in NotImplementedError and hangs."""
        logger.warning("thread_not_terminated", extra={"thread_id": pid})
