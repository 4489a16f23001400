"""The result of a run as a file, written anew after each row, so that a run that is broken off has lost nothing.

Knows nothing of how rows are played.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.chaos.outcome import Outcome, failures
from bench.record import write_result


@dataclass(frozen=True, slots=True)
class Record:
    """One run of the matrix, or of stock Celery's rows."""

    seed: str
    #: Numbers of rows, with commas; '' for all.
    numbers: str
    num_rows: int
    is_short: bool
    #: 'celery', or '' for ourselves.
    baseline: str = ""
    #: Monotonic second at which it began.
    begun_s: float = field(default_factory=time.monotonic)

    def write(self, outcomes: Sequence[Outcome]) -> Path:
        """Write what there is so far and return where it is, from the repository's root."""
        result = {"command": self._command(), "seed": self.seed, "is_whole": len(outcomes) == self.num_rows}
        if not self.baseline:  # the baseline compares, so nothing that it finds is a violation
            result["num_violations"] = len(failures(outcomes))
        result["wall_s"] = round(time.monotonic() - self.begun_s, 1)
        return write_result(self._name(), {**result, "rows": [asdict(outcome) for outcome in outcomes]})

    def _command(self) -> str:
        baseline = f" BASELINE={self.baseline}" if self.baseline else ""
        return f"make chaos{baseline} SEED={self.seed}" + (f" ROWS={self.numbers}" if self.numbers else "")

    def _name(self) -> str:
        parts = ["chaos", self.baseline, self.seed, "short" if self.is_short else "", "part" if self.numbers else ""]
        return "-".join(part for part in parts if part)
