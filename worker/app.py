"""The composition root: reads the settings, makes the Celery app, and builds what a worker process is made of.

Importing it costs no model and no torch; those come with Celery's start signals. `celery -A worker.app worker` works,
`python -m worker` is the same with the options we want.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    celeryd_init,
    setup_logging,
    worker_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from producer.contract.errors import ChatterqueueError, SettingsError
from producer.contract.exitcode import ExitCode
from worker.celeryconfig import celery_settings
from worker.logs import configure_logging
from worker.process import WorkerProcess
from worker.settings import WorkerSettings
from worker.tasks import register

logger = logging.getLogger(__name__)


def _load_settings() -> WorkerSettings:
    try:
        return WorkerSettings.load()
    except SettingsError as error:
        # This runs while `celery` looks for its app: what is wrong, and no traceback.
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None


settings = _load_settings()

app = Celery("chatterqueue-worker")
app.conf.update(celery_settings(settings))
register(app)

_process: WorkerProcess | None = None


def _configure_logging(**_: Any) -> None:
    """Replace Celery's own set-up of logging, by being connected."""
    configure_logging(settings.log_level)


def _choose(conf: Any, **_: Any) -> None:
    """Choose the engine before Celery fixes the number of its threads."""
    global _process  # Celery's signals hand nothing from one to the next
    configure_logging(settings.log_level)
    try:
        _process = WorkerProcess(settings)
        conf.worker_concurrency = _process.concurrency
    except Exception as error:  # noqa: BLE001 - all of them end the process
        _refuse_to_start(error)


def _start(**_: Any) -> None:
    """Connect, load and warm up; blocks, so that no message is taken before it is done."""
    assert _process is not None
    try:
        _process.start()
    except Exception as error:  # noqa: BLE001 - all of them end the process
        _refuse_to_start(error)


def _refuse_to_start(error: Exception) -> None:
    """End the process with one clear sentence.

    Celery swallows exceptions of a signal's receiver and would go on to take work without a model; SystemExit it lets
    through.
    """
    if isinstance(error, ChatterqueueError):
        logger.critical("worker_cannot_start", extra={"code": error.code, "reason": str(error)})
        raise SystemExit(int(error.exit_code)) from None
    logger.critical("worker_cannot_start", extra={"code": "internal_error", "reason": repr(error)}, exc_info=error)
    raise SystemExit(int(ExitCode.INTERNAL)) from None


def _serve(**_: Any) -> None:
    assert _process is not None
    _process.serve()


def _drain(**_: Any) -> None:
    """Take note that the process is going down; runs in the signal handler, so it only sets a flag."""
    if _process is not None:
        _process.drain.begin()


def _stop(**_: Any) -> None:
    if _process is None:
        return
    _process.stop()
    if _process.exit_status:
        # Celery is done: messages are given back and connections closed. A device that is broken may hang or abort
        # an interpreter that ends in the usual way.
        logging.shutdown()
        os._exit(_process.exit_status)


setup_logging.connect(_configure_logging)
celeryd_init.connect(_choose)
worker_init.connect(_start)
worker_ready.connect(_serve)
worker_shutting_down.connect(_drain)
worker_shutdown.connect(_stop)
