"""The command `audit`: reads Redis and S3, and says which promises are broken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from producer.cli import options, output
from producer.contract.errors import UnreadableInputError
from producer.contract.exitcode import ExitCode
from producer.contract.keys import is_id
from producer.contract.settings import Settings

if TYPE_CHECKING:
    from producer.audit import Report


def audit(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Narrations; default: all.")] = None,
    at_rest: Annotated[bool, typer.Option("--at-rest", help="Nothing is under way: all must have ended.")] = False,
    acknowledged: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ids that a submit returned, one a line: none may be lost.")
    ] = None,
    canary: Annotated[
        str | None, typer.Option(metavar="WORD", help="A word that must not be in Redis or in the keys of objects.")
    ] = None,
    decode: Annotated[bool, typer.Option("--decode", help="Decode all segments; else read their headers.")] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds for which objects may belong to work under way.")
    ] = 3_600.0,
    max_attempts: Annotated[int, typer.Option(min=1, help="As CHATTERQUEUE_MAX_ATTEMPTS of the workers.")] = 4,
    json: options.Json = False,
) -> int:
    """Check that nothing is lost, doubled or left over. Ends with 10 if an invariant is broken."""
    del json
    from producer.audit import Audit, Scope  # brings in redis and boto3

    scope = Scope(
        narration_ids=ids or None,
        is_at_rest=at_rest,
        acknowledged_ids=None if acknowledged is None else _ids_in(acknowledged),
        canary=canary,
        is_decoding=decode,
        grace_s=grace,
        max_attempts=max_attempts,
    )
    auditor = Audit(Settings.load())
    try:
        report = auditor.run(scope)
    finally:
        auditor.close()
    output.print_lines(report.to_dict(), _lines(report))
    return ExitCode.OK if report.is_whole else ExitCode.VIOLATED


def _ids_in(path: Path) -> list[str]:
    """Return the ids in a file, one a line.

    Raises:
        UnreadableInputError: it cannot be read, or holds something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableInputError(str(path), "file_unreadable", f"cannot be read: {type(error).__name__}") from None
    for number, line in enumerate(lines, start=1):
        if not is_id(line):
            raise UnreadableInputError(str(path), "narration_id", f"word {number} is no narration id")
    return lines


def _lines(report: Report) -> list[str]:
    counts = ", ".join(f"{number} {name}" for name, number in sorted(report.counts.items()))
    if report.is_whole:
        return [f"whole: {counts or 'nothing to look at'}"]
    broken = sorted({violation.invariant.value for violation in report.violations}, key=lambda name: int(name[1:]))
    summary = f"{len(report.violations)} violations of {', '.join(broken)}; looked at: {counts}"
    return [*(str(violation) for violation in report.violations), summary]
