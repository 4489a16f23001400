"""Items: the pieces of work of one narration, and which queue carries each.

`plan`, `assemble`, and a segment's index as text. Knows nothing of Redis.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from producer.contract.errors import MalformedMessageError
from producer.contract.routing import ASSEMBLE_QUEUE, PLAN_QUEUE, SUSPECT_QUEUE, Priority, synthesize_queue

PLAN: Final = "plan"
ASSEMBLE: Final = "assemble"

#: Lane, as the scripts call it -> the queue that carries its messages.
LANE_QUEUES: Final[Mapping[str, str]] = {
    PLAN: PLAN_QUEUE,
    ASSEMBLE: ASSEMBLE_QUEUE,
    "suspect": SUSPECT_QUEUE,
    **{priority.value: synthesize_queue(priority) for priority in Priority},
}

_ITEM: Final = re.compile(r"plan|assemble|0|[1-9][0-9]{0,8}")


def check_item(item: str) -> str:
    """Return the item.

    Raises:
        MalformedMessageError: if it is none; it came with a message, and those can be made by hand.
    """
    if not _ITEM.fullmatch(item):
        raise MalformedMessageError("item", "neither plan, assemble nor a segment's index")
    return item


def lane_heads(heads: Mapping[str, int | None]) -> list[str]:
    """Return the heads of the queues as the reconcile script wants them: lane, head, lane, head, ...

    Args:
        heads: queue -> millisecond at which its oldest message was sent, None if it is empty. Messages of a queue
            that is not in it are not judged to be lost.
    """
    pairs = [(lane, heads[queue]) for lane, queue in LANE_QUEUES.items() if queue in heads]
    return [text for lane, head in pairs for text in (lane, "empty" if head is None else str(head))]
