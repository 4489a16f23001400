"""Runs the ledger's Lua scripts, one at a time or many in one round trip.

Knows how scripts get to the server and nothing of what they do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, cast

import redis

#: Script calls in one round trip: about 1 MB of keys and arguments, some 20 ms of the server's time.
BATCH_SIZE: Final = 1_000

#: Keys, then arguments.
Call = tuple[Sequence[str], Sequence[str | int]]


@cache
def script_source(name: str) -> str:
    """Return a script as the server gets it: its `#!lua` line, the prelude unless it only reads, the rest.

    The first line makes a server that is out of memory refuse the script before its first write; without it the script
    would stop in the middle.
    """
    folder = resources.files("producer.ledger") / "scripts"
    first_line, _, body = (folder / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
    if "no-writes" in first_line:
        return f"{first_line}\n{body}"
    prelude = (folder / "prelude.lua").read_text(encoding="utf-8")
    return f"{first_line}\n{prelude}\n{body}"


class ScriptRunner:
    """Runs scripts by their hash, and sends a script's text whenever the server does not have it (any more)."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Run one script and return its reply.

        Raises:
            redis.RedisError: as the client raises it.
        """
        source, sha = _source_and_hash(name)
        try:
            return self._client.evalsha(sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self._client.eval(source, len(keys), *keys, *arguments)

    def run_many(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run one script for each call, `BATCH_SIZE` in a round trip, and return the replies in order.

        Each call is atomic, all of them together are not.

        Raises:
            redis.RedisError: the first that any call met; the calls around it may have been carried out.
        """
        replies: list[Any] = []
        for start in range(0, len(calls), BATCH_SIZE):
            replies += self._run_batch(name, calls[start : start + BATCH_SIZE])
        return replies

    def _run_batch(self, name: str, calls: Sequence[Call]) -> list[Any]:
        source, sha = _source_and_hash(name)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.script_load(source)
        for keys, arguments in calls:
            pipeline.evalsha(sha, len(keys), *keys, *arguments)
        loaded, *replies = pipeline.execute(raise_on_error=False)
        _raise_if_error(loaded)
        # Somebody may have flushed the scripts between two commands of the pipeline.
        missing = [at for at, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
        for at in missing:
            replies[at] = self.run(name, *calls[at])
        for reply in replies:
            _raise_if_error(reply)
        return replies


@cache
def _source_and_hash(name: str) -> tuple[str, str]:
    source = script_source(name)
    # The protocol names scripts by SHA-1; nothing here is a secret.
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _raise_if_error(reply: Any) -> None:
    if isinstance(reply, Exception):
        raise cast("redis.RedisError", reply)
