"""`chatterqueue page` and the page of `chatterqueue up`, as processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from processes import ROOT, send_signal, wait_for

from producer.contract.settings import Settings

pytestmark = pytest.mark.integration

#: Seconds for a start or an end on a busy machine.
PATIENCE_S = 120.0


class Command:
    """A running `chatterqueue` command, and what it has printed."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "producer.cli", *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8")

    def wait_for_words(self, words: str) -> re.Match[str]:
        def is_there() -> bool:
            assert self.process.poll() is None, self.err
            return re.search(words, self.out + self.err) is not None

        wait_for(is_there, f"{words!r} in what it prints", PATIENCE_S)
        found = re.search(words, self.out + self.err)
        assert found is not None
        return found

    def end(self) -> int:
        send_signal(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    commands: list[Command] = []

    def run(*arguments: str, **environment: str) -> Command:
        folder = tmp_path / f"{len(commands)}"
        folder.mkdir()
        commands.append(Command(folder, *arguments, **environment))
        return commands[-1]

    yield run
    for command in commands:
        if command.process.poll() is None:
            command.end()


def status_of(port: str, path: str, token: str = "") -> int:
    connection = HTTPConnection("127.0.0.1", int(port), timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_page_prints_an_address_with_a_new_token_once_and_logs_no_request(start, settings: Settings):
    command = start("page", "--port", "0")
    port, token = command.wait_for_words(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]{43})\n").groups()

    assert status_of(port, "/") == 200
    assert status_of(port, "/api/narrations") == 401
    assert status_of(port, "/api/narrations", token) == 200
    assert command.out.count("http://") == 1
    assert command.end() == 0
    assert token not in command.err
    assert "narrations" not in command.out + command.err.replace("no narration", "")


def test_a_token_of_ones_own_is_not_printed(start, settings: Settings):
    command = start("page", "--port", "0", "--json", CHATTERQUEUE_PAGE_TOKEN="a-token-of-my-own")
    command.wait_for_words(r"}\n")
    url = json.loads(command.out)["url"]

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
    assert status_of(url.split(":")[2].strip("/"), "/api/narrations", "a-token-of-my-own") == 200
    assert "a-token-of-my-own" not in command.out + command.err
    assert command.end() == 0


def test_up_shows_the_page_beside_the_environment(start):
    up = start("up", "--no-worker")
    up.wait_for_words("Ctrl-C stops everything")
    port, token = up.wait_for_words(r"page: http://127\.0\.0\.1:(\d+)/#token=([\w-]{43})\n").groups()

    assert status_of(port, "/api/narrations", token) == 200
    assert all(line.startswith("export ") for line in up.out.splitlines())
    assert token not in up.out
    assert up.end() == 0
    with pytest.raises(ConnectionRefusedError):
        status_of(port, "/")
