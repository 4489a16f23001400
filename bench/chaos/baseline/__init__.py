"""Stock Celery under the same faults, for comparison: `make chaos BASELINE=celery`.

Celery as its manual sets it up for work that must not be lost: acks_late, reject_on_worker_lost, prefork, one message
reserved for each process. Knows nothing of chatterqueue but the servers of the harness.
"""

from __future__ import annotations

from bench.chaos.baseline.play import run

__all__ = ["run"]
