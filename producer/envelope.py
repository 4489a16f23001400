"""A message as it lies in Redis: a call of a task in Celery's protocol, in the shape that kombu's transport keeps.

Knows nothing of who sends it or which queues there are. The protocol: Celery's manual, "Message Protocol", version 2.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from typing import Any


def envelope(task: str, ids: Mapping[str, str], sent_ms: int, queue: str) -> bytes:
    """Return the message that calls a task.

    Args:
        task: its name.
        ids: its arguments by name; nothing else travels in a message.
        sent_ms: the ledger's stamp.
        queue: where it is put, and where it goes when it is given back.
    """
    # A tag of its own for each delivery: with one that came from outside, a message could be acknowledged by another.
    tag, task_id = str(uuid.uuid4()), str(uuid.uuid4())
    body = json.dumps([[], dict(ids), {}]).encode()
    message: dict[str, Any] = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": task_id,
            # Celery would copy the arguments into these two, for logs and monitors, where ids have no business.
            "argsrepr": "-",
            "kwargsrepr": "-",
            # Without it the worker looks for a result backend.
            "ignore_result": True,
            "sent_ms": sent_ms,
        },
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": tag,
        },
    }
    return json.dumps(message).encode()
