"""A stock Celery worker whose task takes as long as a segment: `celery -A bench.chaos.baseline.app worker`.

Every start and end of a task is a line in a file; nothing else is kept, as stock Celery keeps nothing else.
"""

from __future__ import annotations

import json
import os
import time

from celery import Celery

ORDERS = json.loads(os.environ["CHAOS_CELERY"])

app = Celery("baseline", broker=ORDERS["broker"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options=ORDERS["transport"],
)

_notes = os.open(ORDERS["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _note(event: str, number: int) -> None:
    os.write(_notes, f"{event} {number} {os.getpid()} {time.monotonic():.4f}\n".encode())


@app.task(name="speak")
def speak(number: int, seconds: float) -> None:
    """Take some time."""
    _note("begin", number)
    time.sleep(seconds)
    _note("end", number)


@app.task(name="run_out_of_memory")
def run_out_of_memory() -> None:
    """End as an audio bomb does."""
    raise MemoryError
