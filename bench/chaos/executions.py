"""What the engines noted of every synthesis, added up: how much was done twice, how much for nothing.

Knows nothing of the ledger: what was spoken is told by its tones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Executions:
    """All syntheses of a row."""

    #: What was spoken -> how often it was begun.
    begun: Counter[str]
    #: What was spoken -> how often it was brought to an end.
    ended: Counter[str]
    #: What was spoken -> how often it was begun after it had been stored. What two spoke at once is not in here.
    again: Counter[str]
    total_s: float
    #: Of these, what nobody needed: broken off, or done before.
    wasted_s: float

    @property
    def num_doubled(self) -> int:
        """Syntheses begun beyond the first of each."""
        return sum(count - 1 for count in self.begun.values())

    @property
    def wasted_percent(self) -> float:
        """Share of the engines' seconds that came to nothing."""
        return 100.0 * self.wasted_s / self.total_s if self.total_s else 0.0


def read_executions(path: Path, killed_s: Mapping[int, float]) -> Executions:
    """Return what a file of notes says.

    Args:
        path: written by `FaultEngine`, in the order of events; not there if nothing was spoken.
        killed_s: process id -> monotonic second of its death; what it was speaking ended then.
    """
    begun: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    again: Counter[str] = Counter()
    stored: set[str] = set()
    running: dict[tuple[int, str], float] = {}
    total_s = wasted_s = 0.0
    for line in path.read_text().splitlines() if path.exists() else []:
        event, said, pid, at_s = line.split()
        key = (int(pid), said)
        if event == "stored":
            stored.add(said)
            continue
        if event == "begin":
            begun[said] += 1
            again[said] += said in stored
            running[key] = float(at_s)
            continue
        spent_s = float(at_s) - running.pop(key)
        total_s += spent_s
        wasted_s += spent_s if ended[said] else 0.0
        ended[said] += 1
    for (pid, _), begun_s in running.items():
        spent_s = max(0.0, killed_s.get(pid, begun_s) - begun_s)
        total_s += spent_s
        wasted_s += spent_s
    return Executions(begun, ended, +again, total_s, wasted_s)
