"""Progress of narrations on standard error: a bar on a terminal, else a line every few seconds.

Knows nothing of how narrations are followed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from producer.cli import output
from producer.cli.words import clock_time
from producer.contract.status import NarrationStatus, State

#: Seconds between two lines when standard error is no terminal.
LINE_EVERY_S: Final = 5.0

#: Seconds that narrations wait before we look whether there is any worker.
IDLE_S: Final = 10.0


class ProgressView:
    """Shows how far narrations are; hand `update` to `Client.wait` as `on_progress`."""

    def __init__(self, *, is_live: bool | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_live = sys.stderr.isatty() if is_live is None else is_live
        self._clock = clock
        self._next_line_s = clock()
        self._last_line = ""
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        if self._is_live and not output.wants_json:
            self._progress = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.description}"),
                console=output.progress_console(),
                transient=True,
            )
            self._task = self._progress.add_task("queued", total=1.0)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, statuses: Sequence[NarrationStatus]) -> None:
        """Show the narrations as they are now."""
        if output.wants_json:
            return
        line = describe(statuses)
        if self._progress is not None:
            done = sum(status.progress for status in statuses) / len(statuses)
            self._progress.update(self._task, description=line, completed=done)
        elif line != self._last_line and self._clock() >= self._next_line_s:
            output.print_note(line)
            self._last_line = line
            self._next_line_s = self._clock() + LINE_EVERY_S


class IdleNote:
    """Says once that nothing will happen without a worker, if narrations wait and there is none."""

    def __init__(self, count_workers: Callable[[], int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._count_workers = count_workers
        self._clock = clock
        self._due_s: float | None = clock() + IDLE_S

    def update(self, statuses: Sequence[NarrationStatus]) -> None:
        """Look for workers if narrations have been waiting for a while."""
        if self._due_s is None or self._clock() < self._due_s:
            return
        self._due_s = None
        if all(status.state is State.QUEUED for status in statuses) and not self._count_workers():
            output.print_progress_note("no worker is running, so this waits for one: chatterqueue worker")


def describe(statuses: Sequence[NarrationStatus]) -> str:
    """Return in one line how far one or many narrations are."""
    if len(statuses) == 1:
        return _describe_one(statuses[0])
    num_ended = sum(status.state.is_terminal for status in statuses)
    num_segments = sum(status.num_segments or 0 for status in statuses)
    num_done = sum(status.num_done + status.num_failed for status in statuses)
    audio_s = sum(status.duration_s or status.audio_s for status in statuses)
    return f"{num_ended}/{len(statuses)} narrations, {num_done}/{num_segments} segments, {clock_time(audio_s)} of audio"


def _describe_one(status: NarrationStatus) -> str:
    if status.num_segments is None:
        return f"{status.state}: {status.reason}" if status.reason else str(status.state)
    parts = [
        f"{status.state} {status.num_done + status.num_failed}/{status.num_segments} segments",
        f"{clock_time(status.duration_s or status.audio_s)} of audio",
    ]
    factor = status.real_time_factor()
    if factor:
        parts.append(f"{factor:.1f}x real time")
    eta_s = status.eta_s()
    if factor and eta_s is not None and status.state is State.RUNNING:
        parts.append(f"{clock_time(eta_s)} left")
    if status.num_failed:
        parts.append(f"{status.num_failed} failed")
    if status.reason:
        parts.append(status.reason)
    return ", ".join(parts)
