"""Looks for a word that stands in a text, a name or a password: it must be nowhere in Redis, nor in an object's key.

Knows nothing of narrations. Objects themselves are not read: requests and plans hold the text, as they should.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from redis import Redis

from producer.audit.report import Invariant, Report

#: Elements that are read at a time.
_PAGE: Final = 1_000

_REMEDY: Final = "report it: texts, names and secrets are kept in S3 objects alone"


def check_canary(redis: Redis, prefix: str, object_keys: Iterable[str], word: str, report: Report) -> None:
    """Search all keys under a prefix, their values, Celery's messages, and the keys of objects.

    Args:
        redis: where to search.
        prefix: with which our keys begin.
        object_keys: keys of objects in S3.
        word: what must not be there.
        report: takes where it was found; never the value around it.

    Raises:
        redis.RedisError: as the client raises it.
    """
    wanted = word.encode()
    for raw in redis.scan_iter(match=f"{prefix}*", count=_PAGE):
        name = cast("bytes", raw)
        if wanted in name or any(wanted in _unpacked(value) for value in _values(redis, name)):
            shown = name.replace(wanted, b"***").decode(errors="replace")
            report.add(Invariant.NO_SECRETS, None, shown, "the canary is in this key of Redis", _REMEDY)
    for key in object_keys:
        if word in key:
            shown = key.replace(word, "***")
            report.add(Invariant.NO_SECRETS, None, shown, "the canary is in the key of this object", _REMEDY)


def _values(redis: Redis, name: bytes) -> Iterator[bytes]:
    """Yield every value that a key holds, field names too."""
    kind = redis.type(name)
    client: Any = redis  # the types of its replies depend on options that are not ours
    if kind == b"string":
        yield client.get(name) or b""
    elif kind == b"hash":
        for field, value in client.hscan_iter(name, count=_PAGE):
            yield field
            yield value
    elif kind == b"list":
        for start in range(0, client.llen(name), _PAGE):
            yield from client.lrange(name, start, start + _PAGE - 1)
    elif kind == b"set":
        yield from client.sscan_iter(name, count=_PAGE)
    elif kind == b"zset":
        yield from (member for member, _ in client.zscan_iter(name, count=_PAGE))


def _unpacked(value: bytes) -> bytes:
    """Return a value, with the body of a message behind it: Celery writes that in base64."""
    try:
        message = json.loads(value)
        parts = message if isinstance(message, list) else [message]
        bodies = [base64.b64decode(part["body"]) for part in parts if isinstance(part, dict) and "body" in part]
    except (ValueError, TypeError, RecursionError):
        return value
    return b"\0".join([value, *bodies])
