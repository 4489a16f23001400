"""What a row came to, as a line of the table and of the result. Knows nothing of how it was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Outcome:
    """One row of the published table."""

    row: str
    fault: str
    num_faults: int = 0
    acknowledged: int = 0
    terminal: int = 0
    lost: int = 0
    doubled_effects: int = 0
    doubled_executions: int = 0
    rejected: int = 0
    wasted_percent: float = 0.0
    recovery_p50_s: float | None = None
    recovery_p99_s: float | None = None
    orphans: int = 0
    wall_s: float = 0.0
    #: Processes of the whole machine that wanted a core, on average over the last minute of the row.
    load: float = 0.0
    #: Figures of this row alone, by name.
    figures: dict[str, Any] = field(default_factory=dict)
    #: Invariants and figures that did not hold; the run fails if there are any.
    violations: list[str] = field(default_factory=list)


#: Heading of the table -> what is in the column.
_COLUMNS: Mapping[str, str] = {
    "row": "row",
    "fault": "fault",
    "faults": "num_faults",
    "jobs": "acknowledged",
    "ended": "terminal",
    "lost": "lost",
    "doubled effects": "doubled_effects",
    "doubled runs": "doubled_executions",
    "refused": "rejected",
    "wasted %": "wasted_percent",
    "recovery p50 s": "recovery_p50_s",
    "p99 s": "recovery_p99_s",
    "orphans": "orphans",
}


def table(outcomes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a Markdown table."""
    rows = [[_cell(outcome[name]) for name in _COLUMNS.values()] for outcome in outcomes]
    rules = ["---" if name == "fault" else "--:" for name in _COLUMNS]
    return [_line(_COLUMNS), _line(rules), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what did not hold, with the row in front."""
    return [f"row {outcome.row}: {violation}" for outcome in outcomes for violation in outcome.violations]
