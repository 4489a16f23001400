"""Items: the pieces of work of one narration, and which queue carries each.

`plan`, `assemble`, and a segment's index as text. Knows nothing of Redis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from producer.contract.errors import MalformedMessageError
from producer.contract.routing import ASSEMBLE_QUEUE, PLAN_QUEUE, Priority, synthesize_queue

PLAN: Final = "plan"
ASSEMBLE: Final = "assemble"

_ITEM: Final = re.compile(r"plan|assemble|0|[1-9][0-9]{0,8}")


def check_item(item: str) -> str:
    """Return the item.

    Raises:
        MalformedMessageError: if it is none; it came with a message, and those can be made by hand.
    """
    if not _ITEM.fullmatch(item):
        raise MalformedMessageError("item", "neither plan, assemble nor a segment's index")
    return item


def queue_of(item: str, priority: Priority) -> str:
    """Return the queue that carries an item's message."""
    if item == PLAN:
        return PLAN_QUEUE
    return ASSEMBLE_QUEUE if item == ASSEMBLE else synthesize_queue(priority)


def lane_heads(heads: Mapping[str, int | None]) -> list[str]:
    """Return the heads of the queues as the reconcile script wants them: lane, head, lane, head, ...

    Args:
        heads: queue -> millisecond at which its oldest message was sent, None if it is empty. Messages of a queue
            that is not in it are not judged to be lost.
    """
    queues = {PLAN: PLAN_QUEUE, ASSEMBLE: ASSEMBLE_QUEUE, **{p.value: synthesize_queue(p) for p in Priority}}
    pairs = [(lane, heads[queue]) for lane, queue in queues.items() if queue in heads]
    return [text for lane, head in pairs for text in (lane, "empty" if head is None else str(head))]
