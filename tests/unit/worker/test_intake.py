"""Which messages a worker may see, and that nothing of a foreign envelope is left in them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from celery import Celery
from hostilemessages import HOSTILE, NOBODY, Hostile, noisy, pickled
from kombu.entity import Queue

from producer.contract.routing import PLAN_QUEUE, Priority, synthesize_queue
from producer.envelope import envelope
from producer.messages import _sent_ms as sent_ms_of
from producer.messages import queue_named
from worker.intake import MAX_MESSAGE_BYTES, Refusal, admit


def admitted(raw: bytes, queue: str = PLAN_QUEUE) -> dict[str, Any]:
    message = admit(raw, queue)
    assert isinstance(message, bytes), message
    return json.loads(message)


def as_sent(task: str, arguments: dict[str, str], queue: Queue) -> bytes:
    """Return what a producer of ours puts into Redis, from kombu's own code."""
    app = Celery("test", set_as_current=False)
    app.conf.update(broker_url="memory://", task_queues=[queue])
    with app.connection_for_write() as connection:
        app.send_task(
            task, kwargs=arguments, queue=queue, headers={"sent_ms": 5}, ignore_result=True, connection=connection
        )
        message = connection.default_channel.basic_get(queue.name)
    return json.dumps(message._raw).encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_message_that_is_none_of_ours_is_refused_by_name(name: str) -> None:
    hostile: Hostile = HOSTILE[name]
    answer = admit(hostile.raw, hostile.queue)
    assert (answer if isinstance(answer, Refusal) else None) is hostile.refusal


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "pickle", "application/json"])
def test_a_pickle_is_refused_and_not_opened(tmp_path, content_type: str) -> None:
    canary = tmp_path / "canary"
    assert isinstance(admit(pickled(canary, content_type), PLAN_QUEUE), Refusal)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("task", "arguments", "queue"),
    [
        ("narration.plan", {"narration_id": NOBODY}, "narration.plan"),
        ("narration.assemble", {"narration_id": NOBODY}, "narration.assemble"),
        *(
            ("narration.synthesize", {"narration_id": NOBODY, "item": "12"}, synthesize_queue(priority))
            for priority in Priority
        ),
    ],
)
def test_what_a_producer_sends_is_taken_with_its_ids_and_its_stamp(task, arguments, queue) -> None:
    raw = as_sent(task, arguments, queue_named(queue))
    assert len(raw) < MAX_MESSAGE_BYTES / 4
    message = admitted(raw, queue)
    assert json.loads(base64.b64decode(message["body"])) == [[], arguments, {}]
    assert (message["headers"]["task"], message["headers"]["sent_ms"]) == (task, 5)
    # Given back to its queue, it is what it was, and the head of the queue can still be read.
    again = json.dumps({**message, "headers": {**message["headers"], "redelivered": True}}).encode()
    assert admitted(again, queue)["body"] == message["body"]
    assert sent_ms_of(again) == 5


def test_what_is_put_into_a_queue_without_celery_says_what_celery_would() -> None:
    queue, ids = synthesize_queue(Priority.NORMAL), {"narration_id": NOBODY, "item": "12"}
    direct = json.loads(envelope("narration.synthesize", ids, 5, queue))
    by_celery = json.loads(as_sent("narration.synthesize", ids, queue_named(queue)))
    assert base64.b64decode(direct["body"]) == json.dumps([[], ids, {}]).encode()
    assert json.loads(base64.b64decode(by_celery["body"]))[:2] == [[], ids]
    assert direct.keys() == by_celery.keys()
    assert direct["headers"].keys() <= by_celery["headers"].keys()
    assert direct["properties"].keys() <= by_celery["properties"].keys()
    for field in ("lang", "task", "ignore_result", "sent_ms"):
        assert direct["headers"][field] == by_celery["headers"][field]
    for field in ("delivery_mode", "delivery_info", "body_encoding"):
        assert direct["properties"][field] == by_celery["properties"][field]


def test_nothing_is_left_of_what_a_foreign_envelope_asks_for() -> None:
    message = admitted(noisy(NOBODY))
    text = json.dumps(message)
    assert json.loads(base64.b64decode(message["body"])) == [[], {"narration_id": NOBODY}, {}]
    assert set(message["headers"]) == {"lang", "task", "id", "argsrepr", "kwargsrepr", "ignore_result", "sent_ms"}
    assert message["headers"]["ignore_result"] is True
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": PLAN_QUEUE}
    for word in ("tomorrow", "2001", "somebody", "rot13", "amq.fanout", "no such"):
        assert word not in text


def test_a_delivery_has_a_tag_of_its_own() -> None:
    """With a tag from outside, whoever sends a message could have another one acknowledged."""
    tags = {admitted(noisy(NOBODY))["properties"]["delivery_tag"] for _ in range(3)}
    assert len(tags) == 3
    assert 7 not in tags


@pytest.mark.parametrize("name", HOSTILE)
def test_the_head_of_a_queue_can_be_read_whatever_it_is(name: str) -> None:
    """The reconciler reads it at each pass; an error there would end all repairs while the message waits."""
    assert isinstance(sent_ms_of(HOSTILE[name].raw), int)
