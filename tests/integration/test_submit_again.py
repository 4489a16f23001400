"""Handing in the same again: at the same moment, after a kill -9 half-way, and when Redis has no room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import ROOT, wait_for

from producer import Client, IdempotencyConflictError, Narration, NarrationJob, QueueFullError
from producer.contract import keys
from producer.contract.keys import RedisKeys
from producer.ledger import Ledger
from producer.messages import queue_list

pytestmark = pytest.mark.integration

NUM_THREADS = 50
NUM_NARRATIONS = 2_000


@pytest.fixture
def client(settings):
    with Client(settings) as made:
        yield made


def at_once(client: Client, narrations: list[Narration]) -> list[NarrationJob | IdempotencyConflictError]:
    barrier = threading.Barrier(len(narrations))

    def submit(narration: Narration) -> NarrationJob | IdempotencyConflictError:
        barrier.wait(60)
        try:
            return client.submit(narration)
        except IdempotencyConflictError as error:
            return error

    with ThreadPoolExecutor(len(narrations)) as pool:
        return list(pool.map(submit, narrations))


def test_fifty_threads_with_one_key_make_one_narration(client, redis_client, settings, store):
    jobs = at_once(client, [Narration(text="One.", idempotency_key="book-7")] * NUM_THREADS)
    assert {job.id for job in jobs} == {keys.id_of_key("book-7")}
    assert [job.is_new for job in jobs].count(True) == 1
    assert redis_client.llen(queue_list(settings, "narration.plan")) == 1
    assert redis_client.zcard(RedisKeys(settings.redis_prefix).active()) == 1
    assert len(list(store.list_keys("narrations/"))) == 1


def test_one_content_wins_and_all_others_conflict_when_fifty_threads_disagree(client, settings, redis_client, store):
    texts = ["One.", "Two."] * (NUM_THREADS // 2)
    answers = at_once(client, [Narration(text=text, idempotency_key="book-7") for text in texts])
    record = Ledger(redis_client, settings).record(keys.id_of_key("book-7"))
    (winner,) = {text for text in texts if Narration(text=text).content_hash() == record.content_hash}
    for text, answer in zip(texts, answers, strict=True):
        assert isinstance(answer, NarrationJob if text == winner else IdempotencyConflictError)
    assert redis_client.llen(queue_list(settings, "narration.plan")) == 1
    assert f'"text":"{winner}"'.encode() in store.get(record.request_ref)


SUBMIT = f"""
import producer.ledger.scripting as scripting
from producer import Client, Narration
scripting.BATCH_SIZE = 5  # many round trips, so that there is a half-way
Client().submit_many([Narration(text=f"Number {{n}}.", idempotency_key=f"n-{{n}}") for n in range({NUM_NARRATIONS})])
"""


def test_only_the_missing_is_queued_when_a_producer_was_killed_half_way(client, redis_client, settings):
    active = RedisKeys(settings.redis_prefix).active()
    process = subprocess.Popen([sys.executable, "-c", SUBMIT], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_for(lambda: redis_client.zcard(active) >= 20, "it has begun", timeout_s=60)
    finally:
        process.kill()
    assert process.wait(20) == -signal.SIGKILL
    num_before = redis_client.zcard(active)
    assert 20 <= num_before < NUM_NARRATIONS
    narrations = [Narration(text=f"Number {n}.", idempotency_key=f"n-{n}") for n in range(NUM_NARRATIONS)]
    batch = client.submit_many(narrations)
    assert [job.is_new for job in batch].count(True) == NUM_NARRATIONS - num_before
    assert redis_client.zcard(active) == NUM_NARRATIONS
    assert redis_client.llen(queue_list(settings, "narration.plan")) == NUM_NARRATIONS - num_before
    # The messages of those that it had entered were never sent; the reconciler finds them.
    ledger = Ledger(redis_client, settings)
    assert len(ledger.reconcile_many(batch.ids, grace_s=0, heads={"narration.plan": None})) == NUM_NARRATIONS
    assert not any(job.is_new for job in client.submit_many(narrations))


def test_nothing_is_stored_when_redis_has_no_room_and_everything_when_it_has(client, redis_client, settings, store):
    used = redis_client.info("memory")["used_memory"]
    narrations = [Narration(text=f"Number {number}.") for number in range(10)]
    try:
        redis_client.config_set("maxmemory", used + 100_000)
        with pytest.raises(QueueFullError):
            client.submit(narrations[0])
        with pytest.raises(QueueFullError):
            client.submit_many(narrations)
        assert list(store.list_keys()) == []
        assert list(redis_client.scan_iter(f"{settings.redis_prefix}*")) == []
        makes_room = threading.Timer(0.5, lambda: redis_client.config_set("maxmemory", 0))
        makes_room.start()
        assert len(client.submit_many(narrations, wait_s=60)) == 10
        makes_room.join()
    finally:
        redis_client.config_set("maxmemory", 0)
