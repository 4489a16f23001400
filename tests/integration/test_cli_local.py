"""`narrate --local` and `up` as processes of their own: what they start, and that nothing of it stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from processes import ROOT, descendants, is_alive, send_signal, wait_for

from producer.contract.exitcode import ExitCode

pytestmark = pytest.mark.integration

#: Some twenty segments, so that an interrupted run has made some and not all.
TEXT = "\n\n".join(f"This is paragraph number {number}, and it says nothing else at all." for number in range(20))

#: Seconds for anything that includes the start or the end of the stack and a worker, on a busy machine.
PATIENCE_S = 120.0


class Command:
    """A running `chatterqueue` command; its output goes to files beside its folder."""

    def __init__(self, folder: Path, arguments: str, environment: Mapping[str, str]) -> None:
        self._paths = [folder.parent / f"{folder.name}-{len(list(folder.parent.iterdir()))}-{name}" for name in "oe"]
        with self._paths[0].open("w") as out, self._paths[1].open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "producer.cli", *arguments.split()],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.below: set[int] = set()

    @property
    def out(self) -> str:
        return self._paths[0].read_text("utf-8")

    @property
    def err(self) -> str:
        return self._paths[1].read_text("utf-8")

    def wait_until(self, words: str, *, in_out: bool = False) -> None:
        def is_there() -> bool:
            self.below.update(descendants(self.process.pid))
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.err}"
            return re.search(words, self.out if in_out else self.err) is not None

        wait_for(is_there, f"{words!r} in its output:\n{self.err}", PATIENCE_S)

    def end(self) -> int:
        """Wait for its end and for that of everything it started; return the exit code."""
        self.below.update(descendants(self.process.pid))
        code = self.process.wait(PATIENCE_S)
        wait_for(lambda: not any(is_alive(pid) for pid in self.below), "everything it started has ended", PATIENCE_S)
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    commands: list[Command] = []

    def start_command(arguments: str, **environment: str) -> Command:
        places = {
            "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / "heartbeat"),
            "CHATTERQUEUE_CACHE_DIR": str(tmp_path / "cache"),
        }
        commands.append(Command(folder, arguments, {**places, **environment}))
        return commands[-1]

    yield start_command
    for command in commands:
        send_signal(command.process.pid, signal.SIGKILL)
        command.process.wait()


def test_an_interrupted_narration_goes_on_from_there_and_nothing_is_left_running(start, tmp_path: Path):
    place = tmp_path / "place"
    command = start("narrate text.txt --local --engine tone -o out.wav", CHATTERQUEUE_TONE_SEGMENT_S="0.5")
    command.wait_until(r"running [1-9]\d*/2\d segments")
    send_signal(command.process.pid, signal.SIGINT)
    assert command.end() == ExitCode.INTERRUPTED
    assert "the same command goes on from there" in command.err
    assert sorted(path.name for path in place.iterdir()) == [".chatterqueue", "text.txt"]
    again = start("narrate text.txt --local --engine tone -o out.wav")
    assert again.end() == 0, again.err
    assert re.search(r"of 2\d, [1-9]\d* of them made before", again.out)
    assert (place / "out.wav").read_bytes()[:4] == b"RIFF"


def test_a_worker_that_cannot_start_ends_the_narration_with_the_end_of_its_log(start, tmp_path: Path):
    command = start(
        "narrate text.txt --local --engine chatterbox",
        CHATTERQUEUE_MODEL_DIR=str(tmp_path / "no-models"),
        CHATTERQUEUE_DEVICE="cpu",
    )
    assert command.end() == ExitCode.CONFIGURATION
    assert "worker" in command.err
    assert "no-models" in command.err
    assert "Traceback" not in command.err.splitlines()[0]


def test_a_worker_that_dies_at_each_start_ends_the_narration_too(start, tmp_path: Path):
    """In an installation that lacks a package, say. A farm would try for ever; here somebody sits and waits."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sentencex.py").write_text("raise ModuleNotFoundError('no sentencex here')\n", encoding="utf-8")
    command = start("narrate text.txt --local --engine tone", PYTHONPATH=os.pathsep.join([str(broken), str(ROOT)]))
    assert command.end() == ExitCode.CONFIGURATION
    assert "no sentencex here" in command.err
    assert "supervisor_gives_up" in command.err
    assert "the same command goes on from there" in command.err


def test_up_prints_an_environment_that_works_and_stops_all_on_ctrl_c(start, tmp_path: Path):
    place = tmp_path / "place"
    up = start("up --engine tone")
    up.wait_until("Ctrl-C stops everything")
    environment = dict(re.findall(r"^export (\w+)=(\S+)$", up.out, re.MULTILINE))
    assert {"CHATTERQUEUE_REDIS_URL", "AWS_SECRET_ACCESS_KEY"} <= set(environment)
    assert (place / ".chatterqueue" / "environment").read_text("utf-8") == up.out
    narrate = start("narrate text.txt --engine tone", **environment)
    assert narrate.end() == 0, narrate.err
    assert (place / "text.mp3").stat().st_size > 1000
    second = start("up --no-worker")
    assert second.end() == ExitCode.CONFIGURATION
    assert "in use" in second.err
    up.wait_until("Ctrl-C")
    send_signal(up.process.pid, signal.SIGINT)
    assert up.end() == 0
    assert not (place / ".chatterqueue" / "environment").exists()


def test_up_ends_with_an_error_when_its_worker_does(start):
    up = start("up --engine tone")
    up.wait_until("Ctrl-C stops everything")
    deadline_s = time.monotonic() + PATIENCE_S
    while not (supervisors := _supervisors(up.process.pid)):
        assert time.monotonic() < deadline_s
    up.below.update(descendants(up.process.pid))
    send_signal(supervisors[0], signal.SIGKILL)
    assert up.end() == ExitCode.CONFIGURATION
    assert "worker" in up.err


def _supervisors(pid: int) -> list[int]:
    """Return the processes below one that are a worker's supervisor, not its guard."""
    found = []
    for each in descendants(pid):
        words = subprocess.run(["ps", "-o", "args=", "-p", str(each)], capture_output=True, text=True).stdout.split()
        if "worker.supervisor" in words and not any(word.endswith("guard.py") for word in words):
            found.append(each)
    return found
