"""Entering, reading, listing and cancelling narrations in a real Valkey."""

from __future__ import annotations

import pytest
import redis
from ledgerwork import begin, complete, enter, fail_for_good, granted, new_narration, take

from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.errors import MalformedMessageError, NarrationNotFoundError, QueueUnavailableError
from producer.contract.keys import RedisKeys
from producer.contract.narration import EngineName
from producer.contract.routing import Priority
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import Ledger, Outcome

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings)


@pytest.fixture
def redis_keys(settings: Settings) -> RedisKeys:
    return RedisKeys(settings.redis_prefix)


def test_a_new_narration_is_queued_and_says_what_was_asked_for(ledger: Ledger) -> None:
    entry = new_narration(
        "Ça va?", voice="austen", engine="tone", priority="high", title="Ein Büch/lein", custom_id="7"
    )
    (creation,) = ledger.create([entry])
    assert creation.outcome is Outcome.CREATED
    record = ledger.record(creation.narration_id)
    status = record.status
    assert (status.state, status.voice, status.title, status.custom_id) == (
        State.QUEUED,
        "austen",
        "Ein Büch/lein",
        "7",
    )
    assert (status.num_chars, status.num_segments, status.started_at) == (6, None, None)
    assert int(status.created_at.timestamp() * 1000) == creation.sent_ms
    assert (record.engine, record.priority) == (EngineName.TONE, Priority.HIGH)
    assert record.request_ref == entry.request_ref
    assert record.content_hash == entry.request.narration.content_hash()
    assert ledger.active() == [creation.narration_id]


def test_the_same_content_exists_and_other_content_conflicts_when_an_id_is_used_again(ledger: Ledger) -> None:
    narration_id = keys.id_of_key("book-7")
    entries = [new_narration(text, narration_id=narration_id) for text in ("one", "one", "two")]
    assert [creation.outcome for creation in ledger.create(entries)] == [
        Outcome.CREATED,
        Outcome.EXISTS,
        Outcome.CONFLICT,
    ]
    assert [creation.outcome for creation in ledger.create(entries[:1])] == [Outcome.EXISTS]
    assert ledger.record(narration_id).status.num_chars == 3


def test_a_narration_that_ended_is_not_begun_again_when_it_is_handed_in_again(ledger: Ledger) -> None:
    entry = new_narration()
    ledger.create([entry])
    ledger.cancel(entry.request.id)
    assert ledger.create([entry])[0].outcome is Outcome.EXISTS
    assert ledger.record(entry.request.id).state is State.CANCELLED
    assert ledger.active() == []


def test_creation_goes_on_when_the_scripts_are_flushed_again_and_again(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between SCRIPT LOAD and the calls of one pipeline somebody else may flush."""
    client = connect_redis(settings)
    make_pipeline = client.pipeline

    def flushing_pipeline(**options: object) -> redis.client.Pipeline:
        pipeline = make_pipeline(**options)
        load = pipeline.script_load

        def load_and_flush(source: str) -> object:
            load(source)
            return pipeline.execute_command("SCRIPT FLUSH")

        monkeypatch.setattr(pipeline, "script_load", load_and_flush)
        execute = pipeline.execute
        # The flush's own reply is not one that the runner asked for.
        monkeypatch.setattr(pipeline, "execute", lambda **how: [(replies := execute(**how))[0], *replies[2:]])
        return pipeline

    monkeypatch.setattr(client, "pipeline", flushing_pipeline)
    creations = Ledger(client, settings).create([new_narration() for _ in range(30)])
    assert {creation.outcome for creation in creations} == {Outcome.CREATED}
    client.script_flush()
    assert ledger.cancel(creations[0].narration_id) is State.CANCELLED


def test_thousands_are_entered_and_read_in_order(ledger: Ledger) -> None:
    entries = [new_narration(f"number {number}", custom_id=str(number)) for number in range(2_345)]
    creations = ledger.create(entries)
    ids = [creation.narration_id for creation in creations]
    assert ids == [entry.request.id for entry in entries]
    statuses = ledger.read([*ids, keys.new_id()])
    assert statuses.pop() is None
    assert [status.custom_id for status in statuses if status] == [str(number) for number in range(2_345)]


def test_reading_is_refused_by_name_when_a_record_is_of_a_newer_version(
    ledger: Ledger, redis_client: redis.Redis, redis_keys: RedisKeys
) -> None:
    narration_id = enter(ledger)
    redis_client.hset(redis_keys.record(narration_id), "schema_version", 2)
    with pytest.raises(MalformedMessageError, match="schema version 2"):
        ledger.read([narration_id])
    with pytest.raises(MalformedMessageError, match=narration_id):
        ledger.record(narration_id)


def test_an_unknown_narration_is_not_found(ledger: Ledger) -> None:
    narration_id = keys.new_id()
    assert ledger.read([narration_id]) == [None]
    for ask in (ledger.record, ledger.cancel):
        with pytest.raises(NarrationNotFoundError):
            ask(narration_id)


def test_the_newest_come_first_and_are_chosen_by_state_and_batch(ledger: Ledger) -> None:
    batch_id = keys.new_id()
    single = enter(ledger)
    batch = [enter(ledger, batch_id=batch_id, custom_id=str(number)) for number in range(450)]
    for narration_id in batch[:3]:
        ledger.cancel(narration_id)
    assert [status.id for status in ledger.recent(batch_id=batch_id, limit=5)] == batch[:-6:-1]
    assert [status.id for status in ledger.recent(batch_id=batch_id, limit=1_000)] == batch[::-1]
    assert [status.id for status in ledger.recent(batch_id=batch_id, state=State.CANCELLED)] == batch[2::-1]
    assert {status.id for status in ledger.recent(limit=1_000)} == {single, *batch}
    assert ledger.recent(batch_id=keys.new_id()) == []


def test_a_listing_forgets_what_has_expired(ledger: Ledger, redis_client: redis.Redis, redis_keys: RedisKeys) -> None:
    ids = sorted(enter(ledger) for _ in range(5))
    for rank, narration_id in enumerate(ids):  # several in one millisecond have no order of their own
        redis_client.zadd(redis_keys.narrations(), {narration_id: rank + 1})
    redis_client.delete(*(redis_keys.record(narration_id) for narration_id in ids[:3]))
    assert ledger.prune(limit=2) == 2
    assert {status.id for status in ledger.recent()} == set(ids[3:])
    assert redis_client.zcard(redis_keys.narrations()) == 2


def test_a_cancelled_narration_keeps_its_record_and_drops_its_work(
    ledger: Ledger, redis_client: redis.Redis, redis_keys: RedisKeys, settings: Settings
) -> None:
    narration_id = begin(ledger, 5)
    complete(ledger, narration_id, [0])
    fail_for_good(ledger, narration_id, "1")
    token = granted(ledger, narration_id, "2")
    assert ledger.cancel(narration_id) is State.CANCELLED
    assert ledger.cancel(narration_id) is State.CANCELLED
    assert ledger.renew([(narration_id, "2", token)]) == [False]
    assert not ledger.complete(narration_id, 2, token, take()).is_accepted
    status = ledger.record(narration_id).status
    assert (status.num_done, status.num_failed, status.finished_at is None) == (1, 1, False)
    left = {key.decode() for key in redis_client.scan_iter(f"{redis_keys.record(narration_id)}*")}
    assert left == {redis_keys.record(narration_id), redis_keys.log(narration_id)}
    retention_s = settings.retention_days * 86_400
    assert all(retention_s - 60 < redis_client.ttl(key) <= retention_s for key in left)
    assert ledger.active() == []


def test_errors_name_the_server_when_it_refuses(settings: Settings) -> None:
    refused = settings.model_copy(update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:1/0")})
    ledger = Ledger(connect_redis(refused), refused)
    with pytest.raises(QueueUnavailableError, match=r"127\.0\.0\.1:1"):
        ledger.read([keys.new_id()])
