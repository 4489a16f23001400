"""Messages to the workers: which task, which item, which queue, and nothing else.

Knows nothing of the ledger: it is told what to send, and when the ledger says that it was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import BatchPublishError, KombuError
from redis import Redis

from producer.connection import broker_tls, connect_redis, reason_of, redis_errors
from producer.contract.errors import QueueUnavailableError
from producer.contract.routing import (
    ALL_QUEUES,
    ASSEMBLE_QUEUE,
    ASSEMBLE_TASK,
    PLAN_QUEUE,
    PLAN_TASK,
    SYNTHESIZE_TASK,
    Priority,
    synthesize_queue,
    transport_options,
)
from producer.contract.settings import Settings
from producer.envelope import envelope

#: Messages that travel to Redis in one pipeline: 700 kB, so that a bulk submit is few round trips.
BATCH_SIZE: Final = 500

#: Seconds until a frozen Redis is given up; the default of kombu is for ever.
PUBLISH_TIMEOUT_S: Final = 3.0

#: Item -> task; every other item is the index of a segment.
_TASKS: Final = {"plan": PLAN_TASK, "assemble": ASSEMBLE_TASK}


class Sendable(Protocol):
    """What a message is made of: an item, its queue, and the ledger's stamp."""

    @property
    def narration_id(self) -> str: ...  # noqa: D102 - the names say it

    @property
    def item(self) -> str: ...  # noqa: D102

    @property
    def queue(self) -> str: ...  # noqa: D102

    @property
    def sent_ms(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Message:
    narration_id: str
    item: str
    queue: str
    sent_ms: int


def queue_named(name: str) -> Queue:
    """Return a queue as both sides declare it: a Redis list of that name, with no exchange or binding to lose."""
    exchange = Exchange("", type="direct")  # type: ignore[no-untyped-call]  # kombu is half typed
    return Queue(name, exchange=exchange, routing_key=name)  # type: ignore[no-untyped-call]


def producer_app(settings: Settings) -> Celery:
    """Return a Celery app that can only send; it is not made the process's current app."""
    app = Celery("chatterqueue-producer", set_as_current=False)
    app.conf.update(
        broker_url=settings.redis_url.get_secret_value(),
        broker_use_ssl=broker_tls(settings),
        broker_transport_options={
            **transport_options(settings.redis_prefix),
            "socket_timeout": PUBLISH_TIMEOUT_S,
            "socket_connect_timeout": PUBLISH_TIMEOUT_S,
            "max_retries": 0,  # else a refused connection is tried until it works
        },
        # One try: with retries a frozen Redis takes five times as long to be named.
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_queues=[queue_named(name) for name in ALL_QUEUES],
        # Else a typing error makes a queue that nobody reads.
        task_create_missing_queues=False,
        task_default_queue=PLAN_QUEUE,
    )
    return app


class Messenger:
    """Sends messages, many in one pipeline. Safe for use from many threads."""

    def __init__(self, celery_app: Celery, settings: Settings) -> None:
        self._app = celery_app
        self._settings = settings
        self._queues = {name: queue_named(name) for name in ALL_QUEUES}

    @cached_property
    def _redis(self) -> Redis:
        return connect_redis(self._settings, timeout_s=PUBLISH_TIMEOUT_S)

    def send_plan(self, ids_and_sent_ms: Iterable[tuple[str, int]]) -> None:
        """Ask for narrations to be split.

        Raises:
            QueueUnavailableError: some or all were not sent; whatever the ledger holds is sent again by the workers.
        """
        self.send(_Message(narration_id, "plan", PLAN_QUEUE, sent_ms) for narration_id, sent_ms in ids_and_sent_ms)

    def send_segments(self, narration_id: str, items: Sequence[str], priority: Priority, sent_ms: int) -> None:
        """Ask for segments to be spoken.

        Workers do so for each segment, and Celery's own way takes ten times as long: these messages are put into the
        queue's list as Celery's transport would.

        Raises:
            QueueUnavailableError: as `send_plan`.
        """
        queue = synthesize_queue(priority)
        messages = [
            envelope(SYNTHESIZE_TASK, {"narration_id": narration_id, "item": item}, sent_ms, queue) for item in items
        ]
        if messages:
            with redis_errors(self._settings):
                self._redis.lpush(queue_list(self._settings, queue), *messages)

    def send_assemble(self, narration_id: str, sent_ms: int) -> None:
        """Ask for a narration's audio to be put together.

        Raises:
            QueueUnavailableError: as `send_plan`.
        """
        self.send([_Message(narration_id, "assemble", ASSEMBLE_QUEUE, sent_ms)])

    def send(self, messages: Iterable[Sendable]) -> None:
        """Send messages in the order given.

        Raises:
            QueueUnavailableError: as `send_plan`.
        """
        pending = list(messages)
        if not pending:
            return
        with _broker_errors(self._settings), self._app.producer_pool.acquire(block=True) as producer:
            if len(pending) == 1:
                self._publish(producer, pending[0])
                return
            with producer.batch(BATCH_SIZE):
                for message in pending:
                    self._publish(producer, message)

    def _publish(self, producer: Any, message: Sendable) -> None:
        self._app.send_task(
            _TASKS.get(message.item, SYNTHESIZE_TASK),
            kwargs=_arguments(message),
            producer=producer,
            queue=self._queues[message.queue],
            headers={"sent_ms": message.sent_ms},
            # The header decides, not the worker's setting: without it the worker looks for a result backend.
            ignore_result=True,
            # Celery copies the arguments into a header for logs and monitors, where ids have no business either.
            argsrepr="-",
            kwargsrepr="-",
            retry=False,
        )


def _arguments(message: Sendable) -> dict[str, str]:
    if message.item in _TASKS:
        return {"narration_id": message.narration_id}
    return {"narration_id": message.narration_id, "item": message.item}


@contextmanager
def _broker_errors(settings: Settings) -> Iterator[None]:
    with redis_errors(settings):
        try:
            yield
        except BatchPublishError as error:
            reason = "it is not known which messages of the last batch arrived"
            raise QueueUnavailableError(settings.redis_address(), reason) from error
        except KombuError as error:
            cause = error.__cause__  # kombu wraps the errors of redis-py
            reason = reason_of(cause if isinstance(cause, Exception) else error)
            raise QueueUnavailableError(settings.redis_address(), reason) from error


def queue_list(settings: Settings, queue: str) -> str:
    """Return the name of the Redis list that carries a queue."""
    return f"{transport_options(settings.redis_prefix)['global_keyprefix']}{queue}"


def oldest_sent_ms(redis: Redis, settings: Settings, queues: Iterable[str] = ALL_QUEUES) -> dict[str, int | None]:
    """Return for each queue when the message that is next in it was sent, in the ledger's milliseconds; None: empty.

    A message that is none of ours counts as sent at 0: it is older than everything, so nothing seems lost behind it.

    Raises:
        QueueUnavailableError: Redis does not answer.
    """
    names = list(queues)
    with redis_errors(settings), redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.lindex(queue_list(settings, name), -1)
        heads = pipeline.execute()
    return {name: None if head is None else _sent_ms(head) for name, head in zip(names, heads, strict=True)}


def _sent_ms(raw: bytes) -> int:
    try:
        return int(json.loads(raw)["headers"]["sent_ms"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # whoever wrote it chose what it holds
        return 0
