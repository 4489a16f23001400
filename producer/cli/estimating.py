"""What `--dry-run` prints: how much speech texts will be, before anything is queued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.table import Table

from producer.cli import output
from producer.cli.words import clock_time

if TYPE_CHECKING:
    from producer.documents import Estimate

#: Seconds of speech that a farm with one H200 makes in a second in int8, of `bench/results/scaling.json`.
GPU_SPEED: Final = 344.0
#: The draft voice on two cores, of `bench/results/pipeline.json`.
DRAFT_SPEED: Final = 67.0


def print_estimates(files: Sequence[str], *, language: str | None) -> None:
    """Print an estimate of each file.

    Raises:
        UnreadableInputError: a file cannot be read.
    """
    from producer.documents import estimate, read_document

    estimates = {name: estimate(read_document(name), language=language) for name in files}
    documents = [_document(name, each) for name, each in estimates.items()]
    output.print_result(documents, _table(estimates))


def _document(name: str, estimated: Estimate) -> dict[str, object]:
    return {
        "file": name,
        "num_chapters": len(estimated.chapters),
        "num_segments": estimated.num_segments,
        "num_chars": estimated.num_chars,
        "speech_s": estimated.speech_s,
        "gpu_s": round(estimated.speech_s / GPU_SPEED, 1),
        "draft_s": round(estimated.speech_s / DRAFT_SPEED, 1),
        "chapters": [
            {"title": chapter.title, "num_chars": chapter.num_chars, "speech_s": chapter.speech_s}
            for chapter in estimated.chapters
        ],
    }


def _table(estimates: dict[str, Estimate]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("chapter", "characters", "speech"):
        table.add_column(heading, no_wrap=True, justify="right")
    table.add_column("title", overflow="ellipsis", no_wrap=True)
    for name, each in estimates.items():
        for number, chapter in enumerate(each.chapters, start=1):
            table.add_row(str(number), f"{chapter.num_chars:,}", clock_time(chapter.speech_s), chapter.title)
        table.add_row("all", f"{each.num_chars:,}", clock_time(each.speech_s), f"{name}: {_summary(each)}")
    return table


def _summary(estimated: Estimate) -> str:
    gpu = clock_time(estimated.speech_s / GPU_SPEED)
    draft = clock_time(estimated.speech_s / DRAFT_SPEED)
    return f"about {estimated.num_segments:,} segments, {gpu} of one H200, {draft} of the draft voice on two cores"
