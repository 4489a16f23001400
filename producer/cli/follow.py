"""The commands `status`, `watch`, `cancel`, `retry` and `delete`: narrations that were handed in before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from producer.cli import options, output
from producer.cli.progress import IdleNote, ProgressView
from producer.cli.tables import chapter_table, status_document, status_table
from producer.client import Client
from producer.contract.errors import NarrationNotFoundError
from producer.contract.exitcode import ExitCode
from producer.contract.status import NarrationStatus, State


def status(
    ids: options.Ids,
    chapters: Annotated[bool, typer.Option("--chapters", help="Say it of each chapter; with one id.")] = False,
    json: options.Json = False,
) -> None:
    """Say where narrations stand."""
    del json
    if chapters and len(ids) != 1:
        raise typer.BadParameter("--chapters goes with one id")
    with Client() as client:
        if chapters:
            found = client.chapters(ids[0])
            output.print_result([asdict(each) for each in found], chapter_table(found))
            return
        statuses = [_known(each, found) for each, found in zip(ids, client.statuses(ids), strict=True)]
    print_statuses(statuses)


def watch(
    ids: options.Ids,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds after which to give up watching.")] = None,
    json: options.Json = False,
) -> int:
    """Follow narrations until all of them have ended."""
    del json
    with Client() as client, ProgressView() as view:
        idle = IdleNote(lambda: len(client.workers()))

        def on_progress(statuses: Sequence[NarrationStatus]) -> None:
            view.update(statuses)
            idle.update(statuses)

        try:
            statuses = client.wait_all(ids, timeout, on_progress=on_progress)
        except KeyboardInterrupt:
            output.print_note("no longer watching; the narrations go on")
            return ExitCode.INTERRUPTED
    print_statuses(statuses)
    return exit_code_of(statuses)


def cancel(ids: options.Ids, json: options.Json = False) -> None:
    """Stop narrations. One that has ended stays as it is."""
    del json
    with Client() as client:
        states = {each: client.cancel(each).value for each in ids}
    document = [{"id": each, "state": state} for each, state in states.items()]
    output.print_lines(document, [f"{each} {state}" for each, state in states.items()])


def retry(ids: options.Ids, json: options.Json = False) -> None:
    """Take up again what failed of narrations, and print the ids of the new ones.

    Only those that ended as partial, failed, cancelled or expired. What they had finished is not spoken again. The same
    command again prints the same ids and queues nothing.
    """
    del json
    with Client() as client:
        jobs = {each: client.retry(each) for each in ids}
    document = [{"id": job.id, "retry_of": each, "is_new": job.is_new} for each, job in jobs.items()]
    output.print_lines(document, [job.id for job in jobs.values()])


def delete(ids: options.Ids, json: options.Json = False) -> None:
    """Remove narrations with their audio, for good. Those under way are cancelled first."""
    del json
    with Client() as client:
        for each in ids:
            client.delete(each)
    output.print_lines([{"id": each, "is_deleted": True} for each in ids], [f"{each} deleted" for each in ids])


def print_statuses(statuses: Sequence[NarrationStatus]) -> None:
    """Print where narrations stand."""
    output.print_result([status_document(each) for each in statuses], status_table(statuses))


def exit_code_of(statuses: Sequence[NarrationStatus]) -> ExitCode:
    """Return 0 if all of them have succeeded."""
    has_succeeded = all(status.state is State.SUCCEEDED for status in statuses)
    return ExitCode.OK if has_succeeded else ExitCode.NOT_SUCCEEDED


def _known(narration_id: str, status: NarrationStatus | None) -> NarrationStatus:
    if status is None:
        raise NarrationNotFoundError(narration_id)
    return status
