"""How Celery is set up in a worker, each setting with its reason.

Knows nothing of what the tasks do. The measurements are of Celery 5.7.0 on Redis 7 and Valkey 9.
"""

from __future__ import annotations

from typing import Any, Final

from producer.connection import broker_tls
from producer.contract.routing import queues_of, transport_options
from producer.messages import queue_named
from worker.quarantine import Quarantine
from worker.settings import WorkerSettings

#: Seconds until a message that was delivered and not acknowledged is delivered again. The heartbeat renews it for
#: what is in work, so this is only the wait after a process has died without its lease being noticed.
VISIBILITY_TIMEOUT_S: Final = 60


def celery_settings(settings: WorkerSettings) -> dict[str, Any]:
    """Return the configuration of the worker's Celery app."""
    return {
        "broker_url": settings.redis_url.get_secret_value(),
        "broker_use_ssl": broker_tls(settings),
        # kombu's Redis transport with a gate: a message that is none of ours never reaches Celery.
        "broker_transport": "worker.transport:Transport",
        "broker_transport_options": {
            **transport_options(settings.redis_prefix),
            "quarantine": Quarantine(settings),
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            # The sweep for such messages runs every interval x throttle seconds: 100 by default.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # A worker killed inside the sweep blocks it for all others this long: 300 by default.
            "unacked_mutex_expire": 30,
            # The default waits for a frozen broker for ever. BRPOP itself comes back after one second.
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # A worker outlives any outage of Redis; at start our own check gives up sooner and by name.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # True marks running tasks as revoked and acknowledges them: they would be lost.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Threads, because only they let one engine batch many tasks; our class, because the stock one loses slots.
        "worker_pool": "worker.pool:TaskPool",
        # Messages wait in the queue and not in a worker: as many are reserved as are worked on.
        "worker_prefetch_multiplier": 1,
        # A message stays in Redis until its item was dealt with.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # The ledger is the only record: no result backend, whose write errors would cost slots.
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_track_started": False,
        "worker_send_task_events": False,
        # JSON only: a pickled message is refused, not run.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # The queues of the role, first the one to be emptied first; `-Q` chooses others.
        "task_queues": [queue_named(name) for name in queues_of(settings.role)],
        "task_create_missing_queues": True,
        # Remote control is for people who can reach Redis anyway; it costs a queue of its own and is off.
        "worker_enable_remote_control": False,
        # Standard output is for the command line; what a library prints must not come out as a log line of ours.
        "worker_redirect_stdouts": False,
        "worker_hijack_root_logger": False,
        "enable_utc": True,
        "timezone": "UTC",
    }
