"""Queue names, task names, and the broker options that producer and worker must have in common.

A producer and a worker with different `sep` or `priority_steps` do not find each other's messages.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final


class Priority(StrEnum):
    """Which lane a narration's segments take; the worker empties a higher lane first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Role(StrEnum):
    """What a worker process does, by the queues it reads."""

    ALL = "all"
    GPU = "gpu"
    CPU = "cpu"


PLAN_QUEUE: Final = "narration.plan"
ASSEMBLE_QUEUE: Final = "narration.assemble"

PLAN_TASK: Final = "narration.plan"
SYNTHESIZE_TASK: Final = "narration.synthesize"
ASSEMBLE_TASK: Final = "narration.assemble"


def synthesize_queue(priority: Priority) -> str:
    """Return the queue that carries the segments of narrations of this priority."""
    return f"narration.synthesize.{priority.value}"


#: Carries the segments that were in work when a process ended, of every priority. They have waited already, and each is
#: spoken by a process that holds nothing else: one that has just started, if it takes them first.
SUSPECT_QUEUE: Final = "narration.synthesize.suspect"

#: Every queue, in the order in which a worker that reads them all should empty them: what frees others first.
ALL_QUEUES: Final[tuple[str, ...]] = (
    ASSEMBLE_QUEUE,
    PLAN_QUEUE,
    SUSPECT_QUEUE,
    *(synthesize_queue(priority) for priority in Priority),
)


def queues_of(role: Role) -> tuple[str, ...]:
    """Return the queues that a worker of this role reads, first the one to be emptied first."""
    if role is Role.ALL:
        return ALL_QUEUES
    cpu_queues = (ASSEMBLE_QUEUE, PLAN_QUEUE)
    return cpu_queues if role is Role.CPU else ALL_QUEUES[len(cpu_queues) :]


def transport_options(redis_prefix: str) -> dict[str, Any]:
    """Return the kombu options that must be the same on both sides.

    `sep` is printable so that `LLEN <prefix>celery:narration.plan` can be typed; no queue name holds a colon.
    One priority step, because priorities are queues of their own here: a Redis list each, no hidden ones.
    """
    return {
        "sep": ":",
        "priority_steps": [0],
        "queue_order_strategy": "priority",
        "global_keyprefix": f"{redis_prefix}celery:",
    }
