"""Celery's threads pool, made safe: a slot that is lost ends the process instead of leaving a worker that does nothing.

Knows nothing of what runs in it.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadsPool

logger = logging.getLogger(__name__)


class TaskPool(ThreadsPool):  # type: ignore[misc]  # Celery has no types
    """Threads that wait for the engine; one of them batches for all.

    In the stock pool a task that ends with MemoryError or SystemExit, or whose acknowledgement fails, is never
    acknowledged and its slot is gone for ever: the worker answers pings and runs less and less. Our tasks let no
    such error out, so if one comes through, something is wrong that only a new process mends.
    """

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
