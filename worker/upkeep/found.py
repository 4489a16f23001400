"""What a bucket says of each narration, by the names of its objects alone.

Knows nothing of the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from producer.contract.keys import is_id
from producer.storage.inventory import StoredObject

#: Seconds for which a request that was not split yet may still be on its way into the ledger: a submit gives up its
#: call to Redis after a few.
SUBMIT_GRACE_S: Final = 30.0

_REQUEST: Final = re.compile(r"request(-[0-9a-f]{16})?\.json")


class Stage(StrEnum):
    """How far a narration had come."""

    DELETED = "deleted"  #: nothing of it may come back
    ENDED = "ended"  #: without a manifest: cancelled, failed, expired
    FINISHED = "finished"  #: with a manifest
    PLANNED = "planned"  #: split; its segments were being spoken, or not yet
    SUBMITTED = "submitted"
    ARRIVING = "arriving"  #: too young to say whether its submit has done its part
    UNKNOWN = "unknown"  #: there is no request, so nothing can be put back


@dataclass(frozen=True, slots=True)
class Found:
    """One narration as the listing shows it."""

    narration_id: str
    stage: Stage
    #: Key of its request; '' if there is none.
    request_key: str
    #: Seconds since it ended, if it has.
    ended_s: float = 0.0
    #: Whether it is marked as ended.
    is_marked: bool = False


def found_in(objects: Iterable[StoredObject]) -> Iterator[Found]:
    """Yield each narration of a listing of `narrations/`, in the order of the keys."""
    for narration_id, group in groupby(objects, lambda stored: stored.key.split("/")[1]):
        if is_id(narration_id):
            yield _found(narration_id, {stored.key.rpartition("/")[2]: stored for stored in group})


def _found(narration_id: str, objects: dict[str, StoredObject]) -> Found:
    requests = [stored for name, stored in objects.items() if _REQUEST.fullmatch(name)]
    # The one that the planner wrote; before that the oldest: of two submits under one key the first was accepted.
    request = objects.get("request.json") or max(requests, key=lambda stored: stored.age_s, default=None)
    key = request.key if request is not None else ""
    if "deleted.json" in objects:
        return Found(narration_id, Stage.DELETED, key, is_marked=True)
    if "ended.json" in objects:
        return Found(narration_id, Stage.ENDED, key, objects["ended.json"].age_s, is_marked=True)
    if request is None:
        return Found(narration_id, Stage.UNKNOWN, key)
    if "manifest.json" in objects:
        return Found(narration_id, Stage.FINISHED, key, objects["manifest.json"].age_s)
    if "plan.json" in objects:
        return Found(narration_id, Stage.PLANNED, key)
    stage = Stage.SUBMITTED if request.age_s >= SUBMIT_GRACE_S else Stage.ARRIVING
    return Found(narration_id, stage, key)
