"""The client when a service is down, frozen or refuses it: an error by name within five seconds, nothing left."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from producer import Client, Narration, QueueUnavailableError, Settings, StorageUnavailableError
from producer.contract import keys
from producer.storage import ObjectStore

pytestmark = pytest.mark.integration

#: What is promised to whoever waits at a prompt, in seconds.
PROMISED_S = 5.0


@pytest.fixture
def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def frozen_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield listener.getsockname()[1]


@contextmanager
def refused_in_time(error: type[Exception], reason: str) -> Iterator[None]:
    began_s = time.monotonic()
    with pytest.raises(error, match=reason):
        yield
    assert time.monotonic() - began_s < PROMISED_S


CALLS: dict[str, Callable[[Client], object]] = {
    "submit": lambda client: client.submit(Narration(text="One.")),
    "submit with a key": lambda client: client.submit(Narration(text="One.", idempotency_key="k")),
    "submit_many": lambda client: client.submit_many([Narration(text="One."), Narration(text="Two.")]),
    "status": lambda client: client.status(keys.new_id()),
    "wait": lambda client: client.wait(keys.new_id()),
    "list": lambda client: client.list(),
    "cancel": lambda client: client.cancel(keys.new_id()),
    "url": lambda client: client.url(keys.new_id()),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["down", "frozen"])
def test_redis_is_named_and_nothing_is_stored(settings: Settings, store: ObjectStore, request, call: str, kind: str):
    port = request.getfixturevalue("closed_port" if kind == "down" else "frozen_port")
    broken = settings.model_copy(update={"redis_url": type(settings.redis_url)(f"redis://127.0.0.1:{port}/0")})
    with Client(broken) as client, refused_in_time(QueueUnavailableError, f"127.0.0.1:{port}"):
        CALLS[call](client)
    assert list(store.list_keys()) == []


@pytest.mark.parametrize("call", ["submit", "submit_many"])
@pytest.mark.parametrize("kind", ["down", "frozen"])
def test_s3_is_named_and_nothing_is_queued(settings: Settings, redis_client: Redis, request, call: str, kind: str):
    port = request.getfixturevalue("closed_port" if kind == "down" else "frozen_port")
    broken = settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{port}"})
    with Client(broken) as client, refused_in_time(StorageUnavailableError, f"127.0.0.1:{port}"):
        CALLS[call](client)
    assert list(redis_client.scan_iter(f"{settings.redis_prefix}*")) == []


def test_wrong_credentials_are_named(settings: Settings, redis_client: Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with Client(settings) as client, refused_in_time(StorageUnavailableError, "the secret key is wrong"):
        client.submit(Narration(text="One."))
    assert list(redis_client.scan_iter(f"{settings.redis_prefix}*")) == []


def test_a_missing_bucket_is_named(settings: Settings, redis_client: Redis):
    elsewhere = settings.model_copy(update={"s3_bucket": "no-such-bucket"})
    reason = "no-such-bucket.*the bucket is not there"
    with Client(elsewhere) as client, refused_in_time(StorageUnavailableError, reason):
        client.submit(Narration(text="One."))
    assert list(redis_client.scan_iter(f"{settings.redis_prefix}*")) == []


def test_a_wrong_redis_password_is_named_without_being_shown(settings: Settings):
    address = settings.redis_url.get_secret_value().rpartition("@")[2]
    wrong = settings.model_copy(update={"redis_url": type(settings.redis_url)(f"redis://:swordfish@{address}")})
    with Client(wrong) as client, pytest.raises(QueueUnavailableError, match="password") as caught:
        client.status(keys.new_id())
    assert "swordfish" not in str(caught.value)
