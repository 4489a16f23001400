"""Messages on a real Redis: what is in them, and what happens when it does not answer."""

from __future__ import annotations

import base64
import json
import os
import signal

import pytest

from producer.connection import connect_redis
from producer.contract.errors import QueueUnavailableError
from producer.contract.routing import ALL_QUEUES, Priority
from producer.contract.settings import Settings
from producer.messages import Messenger, oldest_sent_ms, producer_app, queue_list

pytestmark = pytest.mark.integration

ID = "a" * 26


@pytest.fixture
def messenger(settings) -> Messenger:
    return Messenger(producer_app(settings), settings)


def messages(redis_client, settings, queue: str) -> list[dict]:
    """Return a queue's messages, the next one first."""
    return [json.loads(raw) for raw in redis_client.lrange(queue_list(settings, queue), 0, -1)][::-1]


def test_a_message_holds_ids_and_a_stamp_and_nothing_else(messenger, redis_client, settings):
    messenger.send_segments(ID, ["0", "1"], Priority.HIGH, 1234)
    first, second = messages(redis_client, settings, "narration.synthesize.high")
    arguments, fields, _ = json.loads(base64.b64decode(first["body"]))
    assert (arguments, fields) == ([], {"narration_id": ID, "item": "0"})
    assert json.loads(base64.b64decode(second["body"]))[1]["item"] == "1"
    assert first["headers"]["task"] == "narration.synthesize"
    assert first["headers"]["sent_ms"] == 1234
    assert first["headers"]["ignore_result"] is True
    assert (first["headers"]["argsrepr"], first["headers"]["kwargsrepr"]) == ("-", "-")


def test_each_kind_of_item_goes_to_its_queue(messenger, redis_client, settings):
    messenger.send_plan([(ID, 1)])
    messenger.send_assemble(ID, 2)
    for priority in Priority:
        messenger.send_segments(ID, ["7"], priority, 3)
    tasks = {
        queue: [message["headers"]["task"] for message in messages(redis_client, settings, queue)]
        for queue in ALL_QUEUES
    }
    assert tasks == {
        "narration.assemble": ["narration.assemble"],
        "narration.plan": ["narration.plan"],
        "narration.synthesize.suspect": [],  # filled by the reconciler alone
        **{f"narration.synthesize.{priority}": ["narration.synthesize"] for priority in Priority},
    }


def test_the_oldest_message_of_each_queue_is_found(messenger, redis_client, settings):
    messenger.send_plan([(ID, 5), (ID, 6)])
    redis_client.rpush(queue_list(settings, "narration.assemble"), b"no message of ours")
    oldest = oldest_sent_ms(redis_client, settings)
    assert oldest["narration.plan"] == 5
    assert oldest["narration.assemble"] == 0  # older than everything: nothing behind it seems lost
    assert oldest["narration.synthesize.low"] is None


def test_nothing_is_sent_when_there_is_nothing_to_send(messenger, redis_client):
    num_keys = redis_client.dbsize()
    messenger.send([])
    assert redis_client.dbsize() == num_keys


@pytest.mark.parametrize("num_messages", [1, 3])
def test_a_redis_that_is_not_there_is_named_at_once(num_messages):
    settings = Settings.load(redis_url="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(QueueUnavailableError, match=r"redis://127.0.0.1:1/0") as caught:
        Messenger(producer_app(settings), settings).send_plan([(ID, 0)] * num_messages)
    assert "secret" not in str(caught.value)


def test_a_redis_that_takes_no_segments_is_named(settings):
    gone = Settings.load(redis_url="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(QueueUnavailableError, match=r"redis://127.0.0.1:1/0"):
        Messenger(producer_app(gone), gone).send_segments(ID, ["0"], Priority.NORMAL, 0)


def test_segments_are_taken_in_the_order_in_which_they_were_sent(messenger, redis_client, settings):
    messenger.send_segments(ID, ["3", "1"], Priority.NORMAL, 1)
    messenger.send_segments(ID, [], Priority.NORMAL, 2)
    messenger.send_segments(ID, ["2"], Priority.NORMAL, 3)
    sent = messages(redis_client, settings, "narration.synthesize.normal")
    assert [json.loads(base64.b64decode(message["body"]))[1]["item"] for message in sent] == ["3", "1", "2"]
    assert oldest_sent_ms(redis_client, settings)["narration.synthesize.normal"] == 1


@pytest.mark.parametrize("num_messages", [1, 3])
def test_a_frozen_redis_is_named_and_does_not_hang(settings, num_messages):
    pid = connect_redis(settings).info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(QueueUnavailableError, match="no answer in time"):
            Messenger(producer_app(settings), settings).send_plan([(ID, 0)] * num_messages)
    finally:
        os.kill(pid, signal.SIGCONT)
