"""Narrations that are late, in a real Valkey: by Redis time, in the queue and at work apart."""

from __future__ import annotations

from functools import cache

import pytest
import redis
from ledgerwork import NO_MESSAGES, Places, audio, begin, claim, complete, enter, granted, take

from producer.connection import connect_redis
from producer.contract.keys import RedisKeys
from producer.contract.narration import Narration
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import ClaimOutcome, Ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4)


def places_of(settings: Settings, narration_id: str) -> Places:
    return Places(_client(settings), settings, narration_id)


@cache
def _client(settings: Settings) -> redis.Redis:
    return connect_redis(settings)


def pass_deadline(settings: Settings, narration_id: str) -> None:
    places = places_of(settings, narration_id)
    assert places.field("deadline_ms") is not None
    places.set_fields(deadline_ms=places.now_ms() - 1)


@pytest.mark.parametrize("is_claimed", [True, False])
def test_a_narration_whose_segments_wait_too_long_expires(ledger: Ledger, settings: Settings, is_claimed: bool) -> None:
    narration_id = begin(ledger, 3, queue_timeout_s=60.0, run_timeout_s=3_600.0)
    status = ledger.record(narration_id).status
    assert status.deadline_at is not None
    assert (status.deadline_at - status.created_at).total_seconds() == 60
    pass_deadline(settings, narration_id)
    if is_claimed:
        assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.ENDED
    else:
        assert ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES) == []
    status = ledger.record(narration_id).status
    assert (status.state, status.reason_code) == (State.EXPIRED, "queue_timeout")
    assert status.reason == "none of its segments was begun 60 s after it was submitted"
    assert ledger.active() == []


def test_a_narration_that_is_never_split_expires(ledger: Ledger, settings: Settings) -> None:
    narration_id = enter(ledger, queue_timeout_s=1)
    pass_deadline(settings, narration_id)
    assert claim(ledger, narration_id, "plan").outcome is ClaimOutcome.ENDED
    assert ledger.record(narration_id).state is State.EXPIRED


def test_the_wait_in_the_queue_is_no_part_of_the_run(ledger: Ledger, settings: Settings) -> None:
    narration_id = begin(ledger, 3, queue_timeout_s=60, run_timeout_s=600)
    places = places_of(settings, narration_id)
    before_ms = places.now_ms()
    token = granted(ledger, narration_id, "0")
    deadline_ms = int(places.field("deadline_ms") or 0)
    assert before_ms + 600_000 <= deadline_ms <= places.now_ms() + 600_000
    granted(ledger, narration_id, "1")
    assert int(places.field("deadline_ms") or 0) == deadline_ms  # the first segment alone sets it
    pass_deadline(settings, narration_id)
    assert ledger.complete(narration_id, 0, token, take()).is_accepted  # what is finished is kept
    ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)
    status = ledger.record(narration_id).status
    assert (status.state, status.reason_code, status.num_done) == (State.EXPIRED, "run_timeout", 1)
    assert status.reason == "it was not done 600 s after its first segment was begun"


def test_a_narration_that_was_begun_in_time_has_all_the_time_it_needs(ledger: Ledger, settings: Settings) -> None:
    narration_id = begin(ledger, 1, queue_timeout_s=60)
    granted(ledger, narration_id, "0")
    assert places_of(settings, narration_id).field("deadline_ms") is None
    assert ledger.record(narration_id).status.deadline_at is None


def test_what_comes_too_late_changes_nothing(ledger: Ledger, settings: Settings) -> None:
    narration_id = begin(ledger, 1, run_timeout_s=60)
    complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, "assemble")
    pass_deadline(settings, narration_id)
    ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)
    assert ledger.renew([(narration_id, "assemble", token)]) == [False]
    assert not ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
    assert ledger.record(narration_id).state is State.EXPIRED


def test_one_that_is_finished_before_anybody_noticed_is_finished(ledger: Ledger, settings: Settings) -> None:
    narration_id = begin(ledger, 1, run_timeout_s=60)
    complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, "assemble")
    pass_deadline(settings, narration_id)
    assert ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())


def test_deadlines_are_no_part_of_the_content() -> None:
    assert (
        Narration(text="One.", queue_timeout_s=5, run_timeout_s=7.5).content_hash()
        == Narration(text="One.").content_hash()
    )


@pytest.mark.parametrize(
    ("state", "days"), [(State.SUCCEEDED, 7), (State.PARTIAL, 30), (State.FAILED, 30), (State.CANCELLED, 7)]
)
def test_a_record_stays_as_long_as_somebody_may_want_to_look_into_it(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings, state: State, days: int
) -> None:
    narration_id = begin(ledger, 1)
    if state is State.CANCELLED:
        ledger.cancel(narration_id)
    else:
        complete(ledger, narration_id, [0])
        ledger.commit(narration_id, granted(ledger, narration_id, "assemble"), state=state, audio=audio())
    ttl_s = redis_client.ttl(RedisKeys(settings.redis_prefix).record(narration_id))
    assert days * 86_400 - 60 < ttl_s <= days * 86_400


@pytest.mark.slow
def test_nothing_is_left_of_a_thousand_narrations_after_their_time(
    redis_client: redis.Redis, settings: Settings
) -> None:
    """Every way to end is among them, each with a segment in work."""
    ledger = Ledger(connect_redis(settings), settings)
    ledger._retention_ms = ledger._failed_retention_ms = 50
    before = set(redis_client.scan_iter(f"{settings.redis_prefix}*"))
    for number in range(1_000):
        narration_id = begin(ledger, 3, run_timeout_s=60)
        granted(ledger, narration_id, "2")  # a worker is in the middle of it
        match number % 4:
            case 0:
                ledger.cancel(narration_id)
            case 1:
                pass_deadline(settings, narration_id)
                ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)
            case 2:
                places_of(settings, narration_id).end_lease("2")
                complete(ledger, narration_id, [0, 1, 2])
                token = granted(ledger, narration_id, "assemble")
                assert ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
            case 3:
                token = granted(ledger, narration_id, "1")
                ledger.fail(narration_id, "1", token, code="c", reason="r", is_final=True)
                ledger.cancel(narration_id)
    assert ledger.active() == []
    left = set(redis_client.scan_iter(f"{settings.redis_prefix}*")) - before
    index = RedisKeys(settings.redis_prefix).narrations().encode()
    turns = f"{RedisKeys(settings.redis_prefix).lanes()}normal:turns:count".encode()  # one number for all
    watch = RedisKeys(settings.redis_prefix).watch().encode()  # two
    lasting = {key for key in left if redis_client.pttl(key) == -1}
    assert lasting == {index, turns, watch}
    for key in left - lasting:  # its time is over
        redis_client.delete(key)
    for _ in range(3):
        ledger.prune()
    assert set(redis_client.scan_iter(f"{settings.redis_prefix}*")) - before == {turns, watch}
