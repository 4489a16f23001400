"""The commands `fetch` and `url`: what came out of narrations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from producer.cli import options, output
from producer.client import Client
from producer.contract.errors import NarrationFailedError, NarrationNotFoundError, NarrationUnfinishedError
from producer.contract.exitcode import ExitCode
from producer.contract.status import NarrationStatus, State
from producer.narrationset import MAX_NARRATIONS
from producer.outputfile import check_output_folder, check_output_path
from producer.results import file_name_of


def fetch(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of narrations.")] = None,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="Folder for the files, made if need be; or the file if there is one narration."
        ),
    ] = Path(),
    batch: Annotated[str | None, typer.Option(metavar="ID", help="All narrations of this batch.")] = None,
    all_files: options.AllFiles = False,
    json: options.Json = False,
) -> int:
    """Fetch finished audio. A file is whole or not there; narrations without audio are named, the others fetched."""
    del json
    if bool(ids) == bool(batch):
        raise typer.BadParameter("give either ids or --batch")
    is_file = not out.is_dir() and bool(ids) and len(ids or []) == 1
    if is_file or not out.exists():
        check_output_path(out)
    else:
        check_output_folder(out)
    with Client() as client:
        statuses = _statuses(client, ids or [], batch)
        if not is_file:
            out.mkdir(exist_ok=True)
        paths = {statuses[0].id: out} if is_file else _paths_in(out, statuses)
        documents = [_fetch_one(client, each, paths[each.id], all_files=all_files) for each in statuses]
    output.print_lines(documents, [path for document in documents for path in document["paths"]])
    is_whole = all(document["state"] == State.SUCCEEDED.value for document in documents)
    return ExitCode.OK if is_whole else ExitCode.NOT_SUCCEEDED


def _statuses(client: Client, ids: list[str], batch: str | None) -> list[NarrationStatus]:
    if batch:
        found = client.list(batch_id=batch, limit=MAX_NARRATIONS)
        if not found:
            raise NarrationNotFoundError(batch)
        return found[::-1]  # in the order of the batch
    statuses = []
    for narration_id, status in zip(ids, client.statuses(ids), strict=True):
        if status is None:
            raise NarrationNotFoundError(narration_id)
        statuses.append(status)
    return statuses


def _paths_in(folder: Path, statuses: list[NarrationStatus]) -> dict[str, Path]:
    """Return a file for each narration: named as the caller named it, or by its id where two would be the same."""
    names = Counter(file_name_of(status).lower() for status in statuses)
    paths = {}
    for status in statuses:
        name = file_name_of(status)
        paths[status.id] = folder / (name if names[name.lower()] == 1 else f"{status.id}.{status.format}")
    return paths


def _fetch_one(client: Client, status: NarrationStatus, path: Path, *, all_files: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"id": status.id, "custom_id": status.custom_id, "state": status.state.value}
    try:
        if all_files:
            paths = [str(each) for each in client.download_all(status.id, path)]
        else:
            client.download(status.id, path)
            paths = [str(path)]
    except (NarrationFailedError, NarrationUnfinishedError) as error:
        if not output.wants_json:
            output.print_error(error)
        return {**document, "path": None, "paths": [], "error": error.to_dict()}
    if status.state is State.PARTIAL and not output.wants_json:
        output.print_note(f"warning: {path} is not whole: {status.num_failed} segments failed; see its manifest")
    return {**document, "path": str(path), "paths": paths}


def url(
    narration_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a narration.")],
    expires: Annotated[int, typer.Option(help="Seconds until the URL ends; at most seven days.")] = 3600,
    json: options.Json = False,
) -> None:
    """Print a URL under which anybody can fetch a narration's audio."""
    del json
    with Client() as client:
        address = client.url(narration_id, expires=expires)
    output.print_lines({"id": narration_id, "url": address, "expires_s": expires}, [address])
