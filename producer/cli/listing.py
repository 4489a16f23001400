"""The command `list`: narrations, the newest first."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.cli import options
from producer.cli.follow import print_statuses
from producer.client import Client
from producer.contract.status import State


def list_narrations(
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    batch: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this batch.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
    json: options.Json = False,
) -> None:
    """List narrations, the newest first."""
    del json
    with Client() as client:
        print_statuses(client.list(state=state, batch_id=batch, limit=limit))
