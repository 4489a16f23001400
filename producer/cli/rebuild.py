"""The command `rebuild`: asks the workers to put back from S3 what Redis has lost."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.cli import options, output
from producer.contract.exitcode import ExitCode
from producer.contract.settings import Settings


def rebuild(
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for it; it goes on after that.")] = 600.0,
    json: options.Json = False,
) -> int:
    """Have a worker compare Redis with S3 and put back what is missing. What is there stays as it is."""
    del json
    from producer.rebuilding import rebuild_ledger  # brings in redis

    is_done = rebuild_ledger(Settings.load(), timeout_s=timeout)
    document = {"is_rebuilt": is_done}
    if is_done:
        output.print_lines(document, ["the ledger is whole: what S3 holds of narrations is in Redis"])
        return ExitCode.OK
    output.print_lines(document, [])
    output.print_note(
        "not done yet: a worker does it as soon as one is there; `chatterqueue doctor` says if no worker is"
    )
    return ExitCode.TIMEOUT
