"""The command `review`: what somebody should listen to before the audio goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from producer.cli import options, output
from producer.cli.words import clock_time
from producer.client import Client
from producer.review import ReviewSegment


def review(
    narration_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a finished narration.")],
    json: options.Json = False,
) -> None:
    """List the segments that the quality gate flagged or that are missing, with their text and a link to each."""
    del json
    with Client() as client:
        found = client.review(narration_id)
    output.print_result([asdict(each) for each in found], _table(found))
    if found and not output.wants_json:
        indexes = ",".join(str(each.index) for each in found)
        output.print_note(f"to speak them once more: chatterqueue redo {narration_id} --segments {indexes}")


def _table(found: Sequence[ReviewSegment]) -> Table | str:
    if not found:
        return "nothing is flagged"
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("segment", "at", "score"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("why", no_wrap=True)
    for heading in ("text", "link"):
        table.add_column(heading, overflow="fold")
    for each in found:
        score = "-" if each.score is None else f"{each.score:.2f}"
        table.add_row(
            str(each.index), clock_time(each.offset_s), score, ", ".join(each.reasons), each.text, each.url or "-"
        )
    return table
