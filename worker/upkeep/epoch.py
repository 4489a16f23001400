"""Whether the ledger is still the one that was looked after before: nothing was emptied, restarted or replaced.

A key in Redis names the server process, by the id that the server gives itself at each start. If the key is gone, Redis
was emptied; if it names another process, the server was restarted, restored or replaced, and its last writes may be
lost; `chatterqueue rebuild` removes it. Knows nothing of what is done about it.
"""

from __future__ import annotations

import secrets
from typing import Any

from redis import Redis

from producer.contract.keys import RedisKeys
from producer.rebuilding import UNSETTLED


class Epoch:
    """The mark of one Redis."""

    def __init__(self, redis: Redis, keys: RedisKeys) -> None:
        self._redis = redis
        self._key = keys.epoch()
        self._mine = f"{UNSETTLED}{secrets.token_hex(8)}"
        self._begun_with = ""

    def is_settled(self) -> bool:
        """Say whether the ledger is the one that was settled last.

        Raises:
            redis.RedisError: as the client raises it.
        """
        return self._value() == self._server()

    def begin(self) -> None:
        """Say that the ledger is being rebuilt.

        Raises:
            redis.RedisError: as the client raises it.
        """
        self._begun_with = self._server()
        self._redis.set(self._key, self._mine)

    def settle(self) -> bool:
        """Say that the ledger is whole, unless it was emptied or restarted since `begin`; return whether it is said.

        Raises:
            redis.RedisError: as the client raises it.
        """
        if self._value() != self._mine or self._server() != self._begun_with:
            return False
        # XX: a key that was removed in this very moment stays away.
        return bool(self._redis.set(self._key, self._begun_with, xx=True))

    def _value(self) -> str:
        value: Any = self._redis.get(self._key)
        return "" if value is None else value.decode()

    def _server(self) -> str:
        info: dict[str, Any] = self._redis.info("server")
        return str(info.get("run_id", "unknown"))
