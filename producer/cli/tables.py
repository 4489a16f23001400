"""Tables of narrations that fit a narrow terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

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


def _done(status: NarrationStatus) -> str:
    if status.num_segments is None:
        return "-"
    ended = f"{status.num_done}/{status.num_segments}"
    return f"{ended} ({status.num_failed} failed)" if status.num_failed else ended


def status_document(status: NarrationStatus) -> dict[str, object]:
    """Return a narration as `--json` prints it: the record, and what follows from it."""
    return {**status.model_dump(mode="json"), "progress": round(status.progress, 4), "eta_s": status.eta_s()}
