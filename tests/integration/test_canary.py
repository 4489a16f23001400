"""Marks in everything that is private are found in S3 and nowhere else: not in logs, Redis, messages or on disk.

Labels, which are the name of a voice and a title, are in a narration's record too, for lists; and nowhere else.
"""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from processes import wait_for
from redis.backoff import NoBackoff
from redis.retry import Retry
from speechlike import speechlike_wav

from producer import Client, Narration, Settings, State
from producer.contract.errors import ChatterqueueError
from producer.recording import read_recording

pytestmark = pytest.mark.integration

#: What is marked -> the mark. Each is a word that nothing else holds.
MARKS = {
    "text": "quuxtextmark",
    "voice": "quuxvoicemark",
    "consent": "quuxconsentmark",
    "idempotency key": "quuxkeymark",
    "title": "quuxtitlemark",
    "metadata": "quuxmetamark",
}
VOICE = speechlike_wav(4)


@contextmanager
def every_command(url: str) -> Iterator[list[str]]:
    """Collect all that anybody says to Redis, messages included, while the block runs."""
    said: list[str] = []
    with (
        redis.Redis.from_url(url, socket_timeout=10, retry=Retry(NoBackoff(), 0)) as watcher,
        watcher.monitor() as feed,
    ):
        is_over = threading.Event()

        def listen() -> None:
            for command in feed.listen():
                said.append(command["command"])
                if is_over.is_set() and command["command"] == "ECHO the-end":
                    return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield said
        finally:
            is_over.set()
            with redis.Redis.from_url(url) as last:
                last.echo("the-end")
            thread.join(20)
            assert not thread.is_alive()


def redis_content(client: redis.Redis, prefix: str) -> str:
    """Return all keys of a farm, with their values as Redis stores them on disk."""
    keys = list(client.scan_iter(f"{prefix}*"))
    assert len(keys) >= 5
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    return repr([(key, readers[client.type(key)](key)) for key in keys])


def files_below(folder: Path) -> str:
    return "".join(
        path.read_text("utf-8", errors="replace")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".wav"
    )


def test_what_is_private_is_in_s3_alone(settings: Settings, redis_client, store, start_worker, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    narration = {
        "text": f"Here is the {MARKS['text']}. \x1b[31mHere too.\n\nAnd another sentence with {MARKS['text']} in it.",
        "engine": "tone",
        "format": "wav",
        "title": f"A title, {MARKS['title']}",
        "metadata": {"note": MARKS["metadata"]},
        "idempotency_key": MARKS["idempotency key"],
    }
    errors: list[str] = []
    with every_command(settings.redis_url.get_secret_value()) as said:
        worker = start_worker()
        with Client(settings) as client:
            client.voices.add("somebody", read_recording(VOICE), consent=MARKS["consent"])
            client.voices.add(MARKS["voice"], read_recording(VOICE), consent="given")
            job = client.submit({**narration, "voice": "somebody"})
            other = client.submit(Narration(text=f"One {MARKS['text']}.", voice=MARKS["voice"], engine="tone"))
            for wrong in (
                {**narration, "text": f"{MARKS['text']} \ud800"},
                {**narration, "seed": MARKS["text"]},
                {**narration, MARKS["metadata"]: 1},
            ):
                with pytest.raises(ChatterqueueError) as caught:
                    client.submit(wrong)
                errors.append(str(caught.value).replace(MARKS["metadata"], "", 1))  # the name of the unknown field
            assert {job.wait(60).state, other.wait(60).state} == {State.SUCCEEDED}
            url = job.url(expires=60)
            with urllib.request.urlopen(url, timeout=10) as response:
                assert response.read(4) == b"RIFF"
            client.download(other.id, tmp_path / "out.mp3")
        wait_for(lambda: "narration_finished" in worker.log(), "the worker says so")
    places = {
        "Redis": redis_content(redis_client, settings.redis_prefix),
        "commands": "\n".join(said),
        "messages": "\n".join(command for command in said if "celery:" in command),
        "logs and files of the worker": files_below(worker.log_path.parent),
        "log of the producer": caplog.text,
        "errors": "\n".join(errors),
    }
    assert "EVALSHA" in places["commands"]
    assert '"task": "narration.synthesize"' in places["messages"].replace("\\", "")
    environment = worker.environment
    secrets = {
        **MARKS,
        "key of S3": environment["AWS_SECRET_ACCESS_KEY"],
        "password of Redis": settings.redis_url.get_secret_value().split(":")[2].split("@")[0],
        "signature of a URL": url.rpartition("X-Amz-Signature=")[2][:64],
        "escape sequence": "\x1b",
    }
    assert min(map(len, secrets.values())) == 1
    found = {(what, where) for what, secret in secrets.items() for where, text in places.items() if secret in text}
    assert found == {(label, where) for label in ("voice", "title") for where in ("Redis", "commands")}
    stored = b"".join(store.get(key) for key in store.list_keys() if key.endswith(".json"))
    for what in ("text", "voice", "consent", "title", "metadata", "idempotency key"):
        assert MARKS[what].encode() in stored, f"the mark in the {what} could not be found at all"
