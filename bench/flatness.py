"""Whether what is measured again and again stays flat: the judgement of a soak.

Knows nothing of what is measured, but that some of it is memory and one of it is a speed.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from bench.steadyrate import Point, rate

Value = TypeVar("Value")

#: How much more memory the last fifth may take than the second one. The first fifth fills caches.
MAX_GROWTH: Final = 0.01
#: How far the speed of the last fifth may be from that of the second one.
MAX_SPEED_CHANGE: Final = 0.05
#: Lines in which there are two different fifths.
MIN_LINES: Final = 5

SPEED: Final = "speed"
MEMORY: Final = ("device_allocated_mib", "device_reserved_mib", "host_rss_mib")


def flatness(lines: Sequence[Mapping[str, Any]], points: Sequence[Point]) -> dict[str, Any]:
    """Return how much the figures have changed from the second fifth to the last one, and what is too much.

    Args:
        lines: of memory, after as many segments each; figures that are None are left out.
        points: of all these segments, in the order of their ends.
    """
    if len(lines) < MIN_LINES:
        return {"faults": [f"only {len(lines)} lines: at least {MIN_LINES} are needed"]}
    early, late = _fifths(lines)
    changes = {
        name: round(_mean(late, name) / _mean(early, name) - 1, 4)
        for name in MEMORY
        if all(line.get(name) for line in (*early, *late))
    }
    early_rate, late_rate = (rate(fifth) for fifth in _fifths(points))
    if early_rate and late_rate:
        changes[SPEED] = round(late_rate / early_rate - 1, 4)
    faults = [f"{name} grew by {changes[name]:.1%}" for name in MEMORY if changes.get(name, 0.0) > MAX_GROWTH]
    if abs(changes.get(SPEED, 0.0)) > MAX_SPEED_CHANGE:
        faults.append(f"{SPEED} changed by {changes[SPEED]:+.1%}")
    return {"changes": changes, "faults": faults}


def _fifths(values: Sequence[Value]) -> tuple[Sequence[Value], Sequence[Value]]:
    """Return the second fifth and the last one."""
    fifth = len(values) // 5
    return values[fifth : 2 * fifth], values[-fifth:]


def _mean(lines: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.mean(line[name] for line in lines)
