"""What a worker process of a chaos run is told, by one variable of its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "CHATTERQUEUE_CHAOS"


@dataclass(frozen=True, slots=True)
class Orders:
    """How a process is to behave."""

    #: Where it writes what it does.
    folder: Path
    #: Seconds that its engine takes for a segment, one at a time.
    segment_s: float = 0.05
    #: Point -> the passes at which the process kills itself, each once in the whole fleet.
    crash_at: dict[str, list[int]] = field(default_factory=dict)
    #: By how much its clock is wrong.
    clock_skew_s: float = 0.0

    def to_environment(self) -> dict[str, str]:
        """Return the variable."""
        orders = {
            "folder": str(self.folder),
            "segment_s": self.segment_s,
            "crash_at": self.crash_at,
            "clock_skew_s": self.clock_skew_s,
        }
        return {VARIABLE: json.dumps(orders)}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Orders:
        """Return what the variable says."""
        orders = json.loads(environment[VARIABLE])
        return cls(**{**orders, "folder": Path(orders["folder"])})
