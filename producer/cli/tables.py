"""Tables of narrations that fit a narrow terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from producer.chapterstatus import ChapterStatus
from producer.cli.words import clock_time
from producer.contract.status import NarrationStatus


def status_table(statuses: Sequence[NarrationStatus]) -> Table:
    """Return narrations as a table; the name is cut short before the id is, because the id is copied."""
    rows = [(each.id, each.state.value, _done(each), clock_time(each.duration_s or each.audio_s)) for each in statuses]
    headings = ("id", "state", "done", "audio")
    table = Table(box=None, pad_edge=False, header_style="")
    for heading, *cells in zip(headings, *rows, strict=True):
        # Without a minimum, rich takes from every column what is missing.
        width = max(map(len, (heading, *cells)))
        table.add_column(heading, no_wrap=True, min_width=width)
    table.add_column("name", overflow="ellipsis", no_wrap=True)
    for status, row in zip(statuses, rows, strict=True):
        name = status.custom_id or status.title or ""
        table.add_row(*row, f"{name} ({status.reason})" if status.reason else name)
    return table


def chapter_table(chapters: Sequence[ChapterStatus]) -> Table:
    """Return the chapters of a narration as a table."""
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("chapter", "state", "done", "at", "length"):
        table.add_column(heading, no_wrap=True)
    table.add_column("title", overflow="ellipsis", no_wrap=True)
    for each in chapters:
        done = _ended(each.num_done, each.num_segments, failed=each.num_failed, flagged=each.num_flagged)
        times = ["-" if seconds is None else clock_time(seconds) for seconds in (each.offset_s, each.duration_s)]
        table.add_row(str(each.index + 1), each.state.value, done, *times, each.title)
    return table


def _done(status: NarrationStatus) -> str:
    if status.num_segments is None:
        return "-"
    return _ended(status.num_done, status.num_segments, failed=status.num_failed, flagged=status.num_flagged)


def _ended(num_done: int, num_segments: int, **others: int) -> str:
    notes = ", ".join(f"{number} {what}" for what, number in others.items() if number)
    return f"{num_done}/{num_segments} ({notes})" if notes else f"{num_done}/{num_segments}"


def status_document(status: NarrationStatus) -> dict[str, object]:
    """Return a narration as `--json` prints it: the record, and what follows from it."""
    return {**status.model_dump(mode="json"), "progress": round(status.progress, 4), "eta_s": status.eta_s()}
