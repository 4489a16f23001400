"""The command `submit`: hand texts in and print their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.cli import options, output
from producer.cli.covering import chosen_cover, stored_cover
from producer.cli.estimating import print_estimates
from producer.cli.reading import read
from producer.client import Client
from producer.contract.errors import UnreadableInputError
from producer.contract.fault import Fault
from producer.contract.narration import MAX_TITLE_CHARS
from producer.contract.routing import Priority
from producer.job import Batch
from producer.narrationset import NarrationSet
from producer.textfile import STANDARD_INPUT


def submit(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="Texts, EPUB or Markdown; `-`: standard input.")
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A bulk file instead: a JSON object a line, with `text` or `text_file`."),
    ] = None,
    voice: options.Voice = None,
    engine: options.Engine = None,
    format: options.Format = None,
    language: options.Language = None,
    model: options.Model = None,
    seed: options.Seed = None,
    author: options.Author = None,
    cover: options.Cover = None,
    dictionary: options.Dictionary = None,
    normalize: options.Normalize = None,
    loudness: options.Loudness = None,
    loudness_lufs: options.LoudnessLufs = None,
    quality: options.Quality = None,
    chapter_files: options.ChapterFiles = None,
    dry_run: options.DryRun = False,
    priority: Annotated[str | None, typer.Option(help=f"One of {', '.join(Priority)}.")] = None,
    queue_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Expire if no segment has been begun by then.")
    ] = None,
    run_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Expire if it is not done so long after that.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Wait for room while Redis is full.")] = 0.0,
    json: options.Json = False,
) -> None:
    """Hand texts in and print their ids, one a line. Either all are accepted or none."""
    del json
    if bool(files) == bool(manifest):
        raise typer.BadParameter("give either text files or --manifest")
    fields = options.given(
        voice=voice,
        engine=engine,
        format=format,
        language=language,
        model=model,
        seed=seed,
        author=author,
        dictionary=dictionary,
        normalize=normalize,
        loudness=loudness,
        loudness_lufs=loudness_lufs,
        quality=quality,
        chapter_files=chapter_files,
        priority=priority,
        queue_timeout_s=queue_timeout,
        run_timeout_s=run_timeout,
    )
    if manifest and (fields or cover or dry_run):
        given = [*fields, *(["cover"] if cover else []), *(["dry-run"] if dry_run else [])]
        raise typer.BadParameter(f"with --manifest, {', '.join(given)} belongs into its lines")
    if dry_run:
        print_estimates(files or [], language=language)
        return
    with Client() as client:
        if manifest:
            batch = client.submit_file(manifest, wait_s=wait)
        else:
            batch = client.submit_many(_read_files(client, files or [], fields, cover), wait_s=wait)
    _print_batch(batch)


def _read_files(client: Client, files: list[str], fields: dict[str, object], cover: Path | None) -> NarrationSet:
    """Return one narration for each file, titled by what a document says, else by the file's name."""
    narrations = NarrationSet()
    for name in files:
        try:
            reading = read(name)
        except UnreadableInputError as error:
            narrations.add_fault(Fault(error.code, "", error.args[2]), file=name)
            continue
        title = {"title": Path(name).stem[:MAX_TITLE_CHARS]} if name != STANDARD_INPUT else {}
        picture = stored_cover(client, chosen_cover(cover, reading))
        narrations.add({**title, **reading.fields, **fields, **options.given(cover=picture)}, file=name)
    return narrations


def _print_batch(batch: Batch) -> None:
    if not output.wants_json:
        output.print_note(f"batch {batch.id}")
    jobs = [{"id": job.id, "is_new": job.is_new} for job in batch]
    output.print_lines({"batch_id": batch.id, "narrations": jobs}, batch.ids)
