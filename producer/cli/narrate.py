"""The command `narrate`: a text goes in, an audio file comes out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from producer.cli import options, output
from producer.cli.covering import chosen_cover, with_cover
from producer.cli.estimating import print_estimates
from producer.cli.localstack import local_stack
from producer.cli.progress import IdleNote, ProgressView
from producer.cli.reading import read
from producer.cli.tables import status_document
from producer.cli.words import clock_time, file_size
from producer.client import Client
from producer.contract import keys
from producer.contract.errors import ChatterqueueError, NarrationFailedError, QueueUnavailableError
from producer.contract.exitcode import ExitCode
from producer.contract.narration import AudioFormat, Narration
from producer.contract.settings import Settings
from producer.contract.status import STATES_WITH_AUDIO, NarrationStatus, State
from producer.job import NarrationJob
from producer.outputfile import check_output_path
from producer.stack import EmbeddedStack
from producer.textfile import STANDARD_INPUT


def narrate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Text in UTF-8, EPUB or Markdown; `-`: standard input.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Audio file; its suffix says the format. Default: by FILE, here.")
    ] = None,
    voice: options.Voice = None,
    engine: options.Engine = None,
    format: options.Format = None,
    language: options.Language = None,
    model: options.Model = None,
    seed: options.Seed = None,
    title: options.Title = None,
    author: options.Author = None,
    cover: options.Cover = None,
    dictionary: options.Dictionary = None,
    normalize: options.Normalize = None,
    loudness: options.Loudness = None,
    loudness_lufs: options.LoudnessLufs = None,
    quality: options.Quality = None,
    chapter_files: options.ChapterFiles = None,
    all_files: options.AllFiles = False,
    dry_run: options.DryRun = False,
    local: Annotated[
        bool, typer.Option("--local", help="Run Redis, S3 and a worker here, for this text only.")
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    json: options.Json = False,
) -> int:
    """Narrate a text: hand it in, show how far it is, fetch the audio."""
    del json
    path, format_name = _output(file, out, format)
    if dry_run:
        print_estimates([file], language=language)
        return ExitCode.OK
    check_output_path(path)
    fields = options.given(
        voice=voice,
        engine=engine,
        language=language,
        model=model,
        seed=seed,
        title=title,
        author=author,
        dictionary=dictionary,
        normalize=normalize,
        loudness=loudness,
        loudness_lufs=loudness_lufs,
        quality=quality,
        chapter_files=chapter_files,
    )
    reading = read(file)
    narration = Narration.parse({**reading.fields, **fields, "format": format_name})
    picture = chosen_cover(cover, reading)
    began_s = time.monotonic()
    stack_of = local_stack(data_dir, engine=engine) if local else nullcontext()
    if local:
        output.print_progress_note(f"starting Redis, S3 and a worker in {data_dir}")
    with stack_of as stack, _hint_at_local(is_local=local), Client() as client:
        job = client.submit(with_cover(client, narration, picture))
        with _explained_end(job, is_local=local):
            status = _follow(client, job, stack)
        if status.state not in STATES_WITH_AUDIO:
            raise NarrationFailedError(job.id, status.state.value, status.reason_code or "", status.reason or "")
        paths = _fetch(client, job.id, path, all_files=all_files or bool(chapter_files))
        _print_outcome(status, paths, wall_s=time.monotonic() - began_s)
    return ExitCode.OK if status.state is State.SUCCEEDED else ExitCode.NOT_SUCCEEDED


def _output(file: str, out: Path | None, format_name: str | None) -> tuple[Path, str]:
    """Return where the audio goes and in which format, which the contract checks."""
    if out is None:
        format_name = format_name or AudioFormat.MP3.value
        stem = "narration" if file == STANDARD_INPUT else Path(file).stem
        return Path(f"{stem}.{format_name}"), format_name
    suffix = out.suffix.lstrip(".").lower()
    if format_name is None:
        if suffix not in set(AudioFormat):
            known = ", ".join(f".{each}" for each in AudioFormat)
            raise typer.BadParameter(
                f"cannot tell the format from {out.name!r}: end it in one of {known}, or give --format"
            )
        return out, suffix
    if suffix in set(AudioFormat) and suffix != format_name:
        raise typer.BadParameter(f"{out.name!r} and --format {format_name} contradict each other")
    return out, format_name


def _follow(client: Client, job: NarrationJob, stack: EmbeddedStack | None) -> NarrationStatus:
    """Wait for the end of a narration; a worker of ours that ends before it is an error."""
    idle = IdleNote(lambda: len(client.workers()))
    with ProgressView() as view:

        def on_progress(statuses: Sequence[NarrationStatus]) -> None:
            view.update(statuses)
            if stack is None:
                idle.update(statuses)
            elif not statuses[0].state.is_terminal:
                stack.check()

        return job.wait(on_progress=on_progress)


def _fetch(client: Client, narration_id: str, path: Path, *, all_files: bool) -> Sequence[Path]:
    if all_files:
        return client.download_all(narration_id, path)
    client.download(narration_id, path)
    return [path]


@contextmanager
def _explained_end(job: NarrationJob, *, is_local: bool) -> Iterator[None]:
    """If the wait is broken off, say what becomes of the narration; one on the embedded stack is given up."""
    try:
        yield
    except (KeyboardInterrupt, ChatterqueueError):
        if is_local:
            with suppress(ChatterqueueError):
                job.cancel()  # the next run would else go on with it beside the new one
            output.print_note("stopped; the segments made so far are kept, and the same command goes on from there")
        else:
            output.print_note(f"narration {job.id} goes on; watch it with: chatterqueue watch {job.id}")
        raise


@contextmanager
def _hint_at_local(*, is_local: bool) -> Iterator[None]:
    try:
        yield
    except QueueUnavailableError as error:
        if is_local:
            raise
        address, reason = error.args
        raise QueueUnavailableError(address, f"{reason}; without a Redis of your own, add --local") from error


@dataclass(frozen=True, slots=True)
class _Places:
    """Where everything that came out of a narration lies."""

    path: str
    bucket: str
    audio_key: str
    manifest_key: str

    @classmethod
    def of(cls, status: NarrationStatus, path: Path) -> _Places:
        settings = Settings.load()
        prefix = settings.s3_prefix
        return cls(
            path=str(path),
            bucket=settings.s3_bucket,
            audio_key=prefix + keys.audio_key(status.id, AudioFormat(status.format)),
            manifest_key=prefix + keys.manifest_key(status.id),
        )


def _print_outcome(status: NarrationStatus, paths: Sequence[Path], *, wall_s: float) -> None:
    path = paths[0]
    places = _Places.of(status, path)
    length_s = status.duration_s or 0.0
    document = {
        **status_document(status),
        "path": places.path,
        "paths": [str(each) for each in paths],
        "bucket": places.bucket,
        "audio_key": places.audio_key,
        "manifest_key": places.manifest_key,
        "wall_s": round(wall_s, 3),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a path that is cut short is none
    table.add_row("audio", f"{path} ({file_size(status.size_bytes or 0)})")
    if len(paths) > 1:
        table.add_row("beside it", ", ".join(each.name for each in paths[1:]))
    table.add_row("length", clock_time(length_s))
    table.add_row("wall time", f"{clock_time(wall_s)} ({length_s / wall_s:.1f}x real time, all included)")
    table.add_row("voice", f"{status.voice} by {status.engine_identity or status.engine}")
    table.add_row("segments", _segments(status))
    table.add_row("id", status.id)
    table.add_row("in S3", f"{places.bucket}/{places.audio_key}")
    table.add_row("manifest", f"{places.bucket}/{places.manifest_key}")
    output.print_result(document, table)
    if status.state is State.PARTIAL:
        output.print_note(
            f"warning: the audio is not whole: {status.num_failed} segments failed; the manifest says which"
        )
    if status.num_flagged:
        output.print_progress_note(
            f"{status.num_flagged} segments are flagged; to hear them: chatterqueue review {status.id}"
        )


def _segments(status: NarrationStatus) -> str:
    reused = f", {status.num_reused} of them made before" if status.num_reused else ""
    return f"{status.num_done} of {status.num_segments}{reused}"
