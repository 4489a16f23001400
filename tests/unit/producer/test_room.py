"""Room in Redis: when there is none, who is told, and who waits."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from producer.contract.errors import QueueFullError, QueueUnavailableError
from producer.contract.exitcode import ExitCode
from producer.contract.settings import Settings
from producer.room import wait_for_room


class Server:
    """Says one thing after the other, the last one for ever; time moves only in sleep."""

    def __init__(self, *used_bytes: int, maxmemory: int = 1_000_000) -> None:
        self._answers = [{"used_memory": used, "maxmemory": maxmemory} for used in used_bytes]
        self.num_asked = 0
        self.now_s = 0.0

    def info(self, section: str) -> dict[str, Any]:
        assert section == "memory"
        self.num_asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1.5
        self.now_s += seconds


def wait(server: Server, num_narrations: int = 1, wait_s: float = 0.0) -> None:
    wait_for_room(server, Settings(), num_narrations, wait_s=wait_s, clock=lambda: server.now_s, sleep=server.sleep)


@pytest.mark.parametrize(
    ("server", "num_narrations"),
    [(Server(798_000), 1), (Server(0), 400), (Server(10**9, maxmemory=0), 10_000)],
)
def test_there_is_room_below_eighty_percent(server: Server, num_narrations: int):
    wait(server, num_narrations)
    assert server.num_asked == 1


@pytest.mark.parametrize(("server", "num_narrations"), [(Server(799_000), 1), (Server(0), 401)])
def test_it_is_refused_by_name_and_can_be_tried_again_when_there_is_none(server: Server, num_narrations: int):
    with pytest.raises(QueueFullError, match="nothing was handed in") as caught:
        wait(server, num_narrations)
    error = caught.value
    assert isinstance(error, QueueUnavailableError)
    assert (error.code, error.is_retryable, error.exit_code) == ("queue_full", True, ExitCode.UNAVAILABLE)
    assert server.now_s == 0


def test_it_waits_until_there_is_room():
    server = Server(900_000, 850_000, 500_000)
    wait(server, wait_s=60)
    assert server.num_asked == 3
    assert 1.0 <= server.now_s <= 3.0


def test_it_gives_up_when_the_wait_is_over():
    server = Server(900_000)
    with pytest.raises(QueueFullError, match="90%"):
        wait(server, wait_s=10)
    assert server.now_s == 10


def test_a_server_that_does_not_tell_is_taken_at_its_word():
    server = Server(0)
    server.info = lambda _: (_ for _ in ()).throw(NoPermissionError("no"))  # type: ignore[method-assign]
    wait(server)
