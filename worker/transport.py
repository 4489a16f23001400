"""Celery's connection to Redis, with a gate in it: what comes out of a queue has passed `worker.intake`.

Stock Celery ends when a message is not JSON, and puts one back whose body cannot be decoded: every worker that starts
dies of it again. So messages are looked at where they leave Redis, as bytes, before kombu or Celery parse them. This
module knows nothing of what makes a message good.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from kombu.transport import redis as kombu_redis

from worker.intake import Refusal, admit
from worker.quarantine import Quarantine


class GatedRedis(kombu_redis.PrefixedStrictRedis):
    """A client whose replies to BRPOP, the one command by which a worker takes messages, are fit to be seen."""

    def __init__(self, *args: Any, quarantine: Quarantine, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # kombu is half typed
        self._quarantine = quarantine

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """Return a reply; a message that is refused counts as an empty queue, and the next one is asked for."""
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not reply:
            return reply
        key, raw = reply
        queue = key.decode()
        admitted = admit(raw, queue)
        if isinstance(admitted, Refusal):
            self._quarantine.put(raw, queue, admitted)
            return None
        return key, admitted


class Channel(kombu_redis.Channel):
    """kombu's channel, with the gated client."""

    #: Handed over with the other transport options (`worker.celeryconfig`).
    quarantine: Quarantine

    from_transport_options = (*kombu_redis.Channel.from_transport_options, "quarantine")  # type: ignore[assignment]

    _shared_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        # kombu makes a client for each command, which takes longer than the command: 0.1 ms, three times a message. It
        # holds nothing but the pool of connections, and may be used from any thread.
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._shared_client is None or self._shared_client.connection_pool is not self.pool:
            self._shared_client = super()._create_client()  # type: ignore[no-untyped-call]
        return self._shared_client

    def _get_client(self) -> Any:
        return partial(GatedRedis, global_keyprefix=self.global_keyprefix, quarantine=self.quarantine)


class Transport(kombu_redis.Transport):
    """`broker_transport` of a worker."""

    Channel = Channel
