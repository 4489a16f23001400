"""The command `doctor`: looks at everything a narration needs and says what to do about what is missing."""

from __future__ import annotations

from rich.table import Table

from producer.cli import options, output
from producer.contract.exitcode import ExitCode
from producer.examination import Finding, Grade, examine

_MARKS = {Grade.OK: "ok", Grade.WARNING: "warning", Grade.PROBLEM: "PROBLEM"}


def doctor(json: options.Json = False) -> int:
    """Check settings, Redis, S3, workers and what is installed here. Ends with 8 if something must be mended."""
    del json
    findings = examine()
    output.print_result([finding.to_dict() for finding in findings], _table(findings))
    has_problem = any(finding.grade is Grade.PROBLEM for finding in findings)
    return ExitCode.CONFIGURATION if has_problem else ExitCode.OK


def _table(findings: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(_MARKS[finding.grade], finding.subject, finding.text)
        if finding.remedy:
            table.add_row("", "", f"-> {finding.remedy}")
    return table
