"""A farm worked by hand, and its audit: what is whole, what is broken and where."""

from __future__ import annotations

from pathlib import Path

from handwork import HandFarm

from producer.audit import Audit, Invariant, Report, Scope
from producer.contract.settings import Settings


class AuditedFarm(HandFarm):
    """Has an auditor of its own, who is to be closed."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.auditor = Audit(settings)


def audit(farm: AuditedFarm, *narration_ids: str, **scope) -> Report:
    """Audit some narrations, or all."""
    return farm.auditor.run(Scope(narration_ids=narration_ids or None, **scope))


def broken(report: Report) -> set[tuple[Invariant, str | None]]:
    """Return what is broken and where."""
    assert all(violation.text and violation.remedy for violation in report.violations)
    return {(violation.invariant, violation.item) for violation in report.violations}
