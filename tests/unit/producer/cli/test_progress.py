"""What is shown of a narration's progress, on a terminal and elsewhere."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from producer.cli.progress import IDLE_S, LINE_EVERY_S, IdleNote, ProgressView, describe
from producer.cli.tables import status_table
from producer.cli.words import clock_time, file_size
from producer.contract.status import NarrationStatus, State


def status(state: State = State.RUNNING, **fields: object) -> NarrationStatus:
    began = datetime.now(UTC) - timedelta(seconds=10)
    defaults = {
        "id": "a" * 26, "engine": "tone", "voice": "default", "language": "en", "format": "mp3", "priority": "normal",
        "num_chars": 4, "created_at": began, "started_at": began,
    }  # fmt: skip
    return NarrationStatus.model_validate({**defaults, "state": state, **fields})


def test_a_narration_shows_segments_audio_speed_and_what_is_left():
    line = describe([status(num_segments=40, num_done=10, audio_s=100.0)])
    assert line == "running 10/40 segments, 1:40 of audio, 10.0x real time, 0:30 left"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"state": State.QUEUED}, "queued"),
        ({"state": State.QUEUED, "reason": "waits for an engine"}, "queued: waits for an engine"),
        ({"num_segments": 4, "num_done": 0, "started_at": None}, "running 0/4 segments, 0:00 of audio"),
    ],
)
def test_nothing_is_guessed_when_nothing_is_known(fields: dict[str, object], line: str):
    assert describe([status(**fields)]) == line  # type: ignore[arg-type]


def test_failed_segments_are_said():
    assert "2 failed" in describe([status(num_segments=40, num_done=8, num_failed=2, audio_s=80.0)])


def test_many_narrations_are_summed_up():
    ended = status(State.SUCCEEDED, num_segments=3, num_done=3, duration_s=60.0)
    assert describe([ended, status(num_segments=5, num_done=1, audio_s=5.0)]) == (
        "1/2 narrations, 4/8 segments, 1:05 of audio"
    )


def test_without_a_terminal_a_line_is_printed_now_and_then_and_only_if_something_changed(capsys):
    now_s = 0.0
    with ProgressView(is_live=False, clock=lambda: now_s) as view:
        for step in range(100):
            now_s = step * LINE_EVERY_S / 10
            view.update([status(num_segments=40, num_done=step // 50, started_at=None)])
    assert capsys.readouterr().err.splitlines() == [
        "running 0/40 segments, 0:00 of audio",
        "running 1/40 segments, 0:00 of audio",
    ]


@pytest.mark.parametrize(("state", "num_workers", "num_notes"), [("queued", 0, 1), ("queued", 1, 0), ("running", 0, 0)])
def test_it_is_said_once_that_nothing_happens_without_a_worker(capsys, state: str, num_workers: int, num_notes: int):
    now_s = 0.0
    note = IdleNote(lambda: num_workers, clock=lambda: now_s)
    for step in range(30):
        now_s = float(step)
        note.update([status(State(state))])
        assert now_s >= IDLE_S or not capsys.readouterr().err
    assert capsys.readouterr().err.count("chatterqueue worker") == num_notes


def test_a_table_keeps_ids_whole_on_a_narrow_terminal():
    console = Console(width=70, record=True, file=io.StringIO())
    statuses = [status(num_segments=1200, num_done=7, num_failed=1, title="A very long title " * 5, audio_s=5000.0)]
    console.print(status_table(statuses))
    lines = console.export_text().splitlines()
    assert len(lines) == 2
    assert all(len(line) <= 70 for line in lines)
    assert lines[1].startswith("a" * 26)
    assert "7/1200 (1 failed)" in lines[1]


def test_numbers_are_written_for_people():
    assert [clock_time(seconds) for seconds in (0.4, 59.6, 754, 10_921)] == ["0:00", "1:00", "12:34", "3:02:01"]
    assert [file_size(size) for size in (900, 312_000, 4_200_000)] == ["1 kB", "312 kB", "4.2 MB"]
