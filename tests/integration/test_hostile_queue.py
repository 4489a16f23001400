"""Whatever is put into a queue, the worker that reads it goes on: the same process, each message accounted for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest
from hostilemessages import HOSTILE, NOBODY, noisy, pickled
from narrating import Farm, sentences
from processes import descendants, wait_for

from producer.contract.keys import RedisKeys
from producer.contract.narration import Narration
from producer.contract.routing import ALL_QUEUES, PLAN_QUEUE, Priority
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.examination import Grade, examine
from producer.messages import queue_list
from worker.intake import Refusal
from worker.quarantine import Quarantine

pytestmark = pytest.mark.integration

#: Nothing is sent again during the test: what is done was asked for by a message.
SLOW_REPAIR = {"CHATTERQUEUE_LOST_AFTER_S": "600", "CHATTERQUEUE_TONE_SEGMENT_S": "0.05"}


@pytest.fixture
def farm(settings) -> Farm:
    return Farm(settings)


def wait_until_idle(farm: Farm) -> None:
    """Wait until no queue holds a message and none is in work."""
    prefix = queue_list(farm.settings, "")
    keys = [queue_list(farm.settings, queue) for queue in ALL_QUEUES] + [f"{prefix}unacked", f"{prefix}unacked_index"]
    wait_for(lambda: farm.redis.exists(*keys) == 0, "every message is dealt with", timeout_s=60)


def test_a_worker_outlives_every_message_that_somebody_makes_up(farm, start_worker, tmp_path):
    canary = tmp_path / "canary"
    worker = start_worker(env=SLOW_REPAIR)
    processes = descendants(worker.pid)
    (narration_id, asked_for_with_noise) = farm.submit(
        Narration(text=sentences(40), engine="tone", format="flac"),
        Narration(text="One. Two.", engine="tone", format="flac"),
        is_sent=False,
    )
    farm.messenger.send_plan([(narration_id, 1)])
    farm.wait_for(narration_id, lambda status: status.num_done >= 2, "2 segments done")
    for number, hostile in enumerate(HOSTILE.values()):  # every other one jumps the queue
        push = farm.redis.rpush if number % 2 else farm.redis.lpush
        push(queue_list(farm.settings, hostile.queue), hostile.raw)
    farm.redis.rpush(queue_list(farm.settings, PLAN_QUEUE), pickled(canary), noisy(asked_for_with_noise))
    assert farm.wait(narration_id).state is State.SUCCEEDED
    assert farm.wait(asked_for_with_noise).state is State.SUCCEEDED
    wait_until_idle(farm)

    assert descendants(worker.pid) == processes
    assert not canary.exists()
    refusals = Counter(hostile.refusal for hostile in HOSTILE.values() if hostile.refusal)
    refusals[Refusal.CONTENT_TYPE] += 1
    keys = RedisKeys(farm.settings.redis_prefix)
    assert {name.decode(): int(n) for name, n in farm.redis.hgetall(keys.quarantined()).items()} == refusals
    entries = [json.loads(entry) for entry in farm.redis.lrange(keys.quarantine(), 0, -1)]
    assert Counter(entry["reason"] for entry in entries) == refusals
    assert all(entry.keys() == {"sha256", "size_bytes", "reason", "queue", "at"} for entry in entries)
    log = worker.log()
    assert log.count("message_quarantined") == refusals.total()
    assert "process_ended" not in log
    assert "task_failed" not in log
    assert "Traceback" not in log

    # Those that name what does not exist were taken, and have left nothing behind.
    assert list(farm.redis.scan_iter(f"*{NOBODY}*")) == []

    # A segment that is done, asked for again: acknowledged, and nobody speaks.
    num_attempts = farm.status(narration_id).num_attempts
    farm.messenger.send_segments(narration_id, ["0", "1"], Priority.NORMAL, 1)
    farm.messenger.send_plan([(narration_id, 1)])
    farm.messenger.send_assemble(narration_id, 1)
    wait_until_idle(farm)
    assert farm.status(narration_id).num_attempts == num_attempts == 40


def test_the_quarantine_forgets_the_oldest_and_goes_on_counting(settings, redis_client, monkeypatch):
    monkeypatch.setattr("worker.quarantine.MAX_REMEMBERED", 3)
    quarantine = Quarantine(settings)
    for number in range(5):
        quarantine.put(f"message {number}".encode(), PLAN_QUEUE, Refusal.NOT_JSON)
    keys = RedisKeys(settings.redis_prefix)
    last = [json.loads(entry) for entry in redis_client.lrange(keys.quarantine(), 0, -1)]
    assert [entry["sha256"] for entry in last] == [
        hashlib.sha256(f"message {number}".encode()).hexdigest() for number in (4, 3, 2)
    ]
    assert redis_client.hgetall(keys.quarantined()) == {b"message_not_json": b"5"}
    (finding,) = [finding for finding in examine() if finding.subject == "messages"]
    assert finding.grade is Grade.WARNING
    assert "5 message_not_json" in finding.text
    assert keys.quarantine() in finding.remedy


def test_a_message_is_dropped_when_the_quarantine_cannot_be_written(caplog):
    Quarantine(Settings.load(redis_url="redis://127.0.0.1:1/0")).put(b"hello", PLAN_QUEUE, Refusal.NOT_JSON)
    assert [record.message for record in caplog.records] == ["message_quarantined", "quarantine_not_written"]
