"""The walkthrough of docs/reliability.md, line by line: a book outlives the death of everything at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT, descendants, send_signal

from bench.chaos.book import Book, hashes_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NUM_SEGMENTS = 40

#: A lease that runs out while a test waits, and an engine that is not done before it is killed.
SETTINGS = {
    "CHATTERQUEUE_ENGINE": "tone",
    "CHATTERQUEUE_TONE_SEGMENT_S": "0.2",
    "CHATTERQUEUE_LEASE_S": "3",
    "CHATTERQUEUE_LOST_AFTER_S": "3",
}


def commands() -> str:
    """Return the walkthrough as a script that ends at the first command that fails."""
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page.split("## See it yourself")[1], re.DOTALL)
    return f"set -eu\n{block}"


def test_the_book_is_whole_when_everything_was_killed_in_the_middle_of_it(tmp_path: Path):
    book = Book.of("the walkthrough", NUM_SEGMENTS)
    (tmp_path / "book.txt").write_text(book.text)
    program = tmp_path / "bin" / "chatterqueue"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m producer.cli "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        **SETTINGS,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "CHATTERQUEUE_HEARTBEAT_DIR": str(tmp_path / "heartbeat"),
    }
    with (tmp_path / "printed").open("wb") as printed:
        shell = subprocess.Popen(
            ["bash", "-c", commands()], cwd=tmp_path, env=environment, stdout=printed, stderr=subprocess.STDOUT
        )
    try:
        status = shell.wait(200)
    finally:
        for pid in [shell.pid, *descendants(shell.pid)] if shell.poll() is None else []:
            send_signal(pid, signal.SIGKILL)
        shell.wait(20)

    assert status == 0, (tmp_path / "printed").read_text()[-3000:]
    assert hashes_in((tmp_path / "whole.mp3").read_bytes()) == book.hashes
    log = "".join(path.read_text() for path in (tmp_path / "farm" / "logs").glob("worker-0*"))  # one for each start
    assert log.count("supervisor_started") == 2
    # What had been spoken before was not spoken again: at most what lay finished in the dead worker's hands.
    assert NUM_SEGMENTS <= log.count("take_finished") <= NUM_SEGMENTS + 2
