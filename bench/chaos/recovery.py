"""How long the work of a dead process lay still: from its death until another had it. Knows the ledger's log only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

#: Events that end a claim by its own worker.
_ENDS = frozenset({"completed", "released", "retried", "failed"})

#: Events by which an item goes on, and those by which it is at least offered again.
GOES_ON = frozenset({"claimed", "exhausted", "poisoned", "failed"})
IS_OFFERED = GOES_ON | {"expired"}


def recoveries_s(
    logs: Iterable[Sequence[Mapping[str, Any]]], killed: Mapping[int, float], events: Set[str] = GOES_ON
) -> list[float]:
    """Return for each item that a process held when it died the seconds until it was taken up again.

    Args:
        logs: of narrations, each in the order of its events.
        killed: process id -> Unix second of its death or of its freezing.
        events: what counts as being taken up.
    """
    found = []
    for log in logs:
        ended = {entry.get("token") for entry in log if entry["event"] in _ENDS}
        for at, entry in enumerate(log):
            if entry["event"] != "claimed" or entry.get("token") in ended:
                continue
            died_s = killed.get(int(entry["worker"].rpartition(":")[2]))
            if died_s is None or entry["at_ms"] / 1000 > died_s:
                continue
            later = (
                after["at_ms"] / 1000 - died_s
                for after in log[at + 1 :]
                if after["item"] == entry["item"] and after["event"] in events
            )
            wait_s = next(later, None)
            if wait_s is not None:
                found.append(max(0.0, wait_s))
    return found


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that this share of all does not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
