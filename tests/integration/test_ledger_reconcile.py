"""What the reconciler finds: work that nobody would do unless its message is sent again, in a real Valkey."""

from __future__ import annotations

import pytest
import redis
from ledgerwork import NO_MESSAGES, Places, begin, complete, enter, granted, take

from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.keys import RedisKeys
from producer.contract.routing import ASSEMBLE_QUEUE, PLAN_QUEUE, SUSPECT_QUEUE, Priority, synthesize_queue
from producer.contract.settings import Settings
from producer.ledger import ClaimOutcome, Ledger

pytestmark = pytest.mark.integration

NORMAL_QUEUE = synthesize_queue(Priority.NORMAL)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4)


def resent(ledger: Ledger, narration_id: str, *, grace_s: float = 0.0, heads: dict[str, int | None]) -> list[str]:
    return [resend.item for resend in ledger.reconcile(narration_id, grace_s=grace_s, heads=heads)]


def test_a_message_is_lost_when_its_queue_is_empty(ledger: Ledger) -> None:
    narration_id = enter(ledger)
    (resend,) = ledger.reconcile(narration_id, grace_s=0, heads={PLAN_QUEUE: None})
    assert (resend.narration_id, resend.item, resend.queue) == (narration_id, "plan", PLAN_QUEUE)
    assert resend.sent_ms >= ledger.record(narration_id).status.created_at.timestamp() * 1000


def test_nothing_is_lost_within_the_grace_time(ledger: Ledger) -> None:
    narration_id = enter(ledger)
    assert resent(ledger, narration_id, grace_s=60, heads=NO_MESSAGES) == []


def test_a_message_that_was_sent_again_has_a_new_grace_time(ledger: Ledger) -> None:
    narration_id = enter(ledger)
    assert resent(ledger, narration_id, heads=NO_MESSAGES) == ["plan"]
    assert resent(ledger, narration_id, grace_s=60, heads=NO_MESSAGES) == []


def test_a_message_is_lost_only_when_its_queue_has_come_past_it(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    """Queues are FIFO: with an older message at the head, ours is simply not its turn."""
    narration_id = begin(ledger, 2)
    sent_ms = Places(redis_client, settings, narration_id).waiting()["0"]
    for head in (sent_ms - 1, sent_ms):
        assert resent(ledger, narration_id, heads={NORMAL_QUEUE: head}) == []
    assert resent(ledger, narration_id, heads={NORMAL_QUEUE: sent_ms + 1}) == ["0", "1"]


@pytest.fixture
def after_an_outage(settings: Settings, redis_client: redis.Redis):
    """Let it seem as if no script had run for a minute."""
    watch = RedisKeys(settings.redis_prefix).watch()
    return lambda: redis_client.hincrby(watch, "seen_ms", -60_000)


def test_an_outage_of_redis_is_not_the_end_of_every_process(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings, after_an_outage
) -> None:
    """No lease can be renewed meanwhile; the first to come back may be the reconciler, or a message sent twice."""
    narration_id = begin(ledger, 2)
    places = Places(redis_client, settings, narration_id)
    tokens = [granted(ledger, narration_id, item) for item in ("0", "1")]
    places.end_lease("0")
    places.end_lease("1")
    after_an_outage()
    assert resent(ledger, narration_id, heads={}) == []
    assert ledger.claim(narration_id, "0", "another").outcome is ClaimOutcome.BUSY
    assert ledger.renew([(narration_id, "0", tokens[0])]) == [True]
    # Whoever is still silent when the mercy is over is dead.
    redis_client.hset(RedisKeys(settings.redis_prefix).watch(), "mercy_ms", 1)
    assert resent(ledger, narration_id, heads={}) == ["1"]
    assert ledger.complete(narration_id, 0, tokens[0], take()).is_accepted


def test_other_queues_say_nothing_about_a_message(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2, priority="high")
    others = {PLAN_QUEUE: None, ASSEMBLE_QUEUE: None, NORMAL_QUEUE: None}
    assert resent(ledger, narration_id, heads=others) == []
    (first, _) = ledger.reconcile(narration_id, grace_s=0, heads={synthesize_queue(Priority.HIGH): None})
    assert first.queue == "narration.synthesize.high"


def test_what_a_dead_process_held_goes_before_all_others(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    """In a queue of its own that is emptied first, and by which alone it is judged whether its message is lost."""
    narration_id = begin(ledger, 3)
    places = Places(redis_client, settings, narration_id)
    granted(ledger, narration_id, "1")
    places.end_lease("1")
    (resend,) = ledger.reconcile(narration_id, grace_s=60, heads={})
    assert (resend.item, resend.queue) == ("1", SUSPECT_QUEUE)
    sent_ms = places.waiting()["1"]
    assert resent(ledger, narration_id, heads={NORMAL_QUEUE: None, SUSPECT_QUEUE: sent_ms}) == ["0", "2"]
    lost = ledger.reconcile(narration_id, grace_s=0, heads={NORMAL_QUEUE: 0, SUSPECT_QUEUE: None})
    assert [(resend.item, resend.queue) for resend in lost] == [("1", SUSPECT_QUEUE)]


def test_a_plan_and_an_assembly_that_ended_a_process_stay_in_their_queues(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id = enter(ledger)
    granted(ledger, narration_id, "plan")
    Places(redis_client, settings, narration_id).end_lease("plan")
    (resend,) = ledger.reconcile(narration_id, grace_s=60, heads={})
    assert (resend.item, resend.queue) == ("plan", PLAN_QUEUE)


def test_what_is_being_worked_on_is_not_lost(ledger: Ledger) -> None:
    narration_id = begin(ledger, 3)
    granted(ledger, narration_id, "1")
    assert resent(ledger, narration_id, heads=NO_MESSAGES) == ["0", "2"]


def test_the_assembly_is_found_when_its_message_was_lost(ledger: Ledger) -> None:
    narration_id = begin(ledger, 1)
    complete(ledger, narration_id, [0])  # whoever did it died before sending the message
    (resend,) = ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)
    assert (resend.item, resend.queue) == ("assemble", ASSEMBLE_QUEUE)


def test_the_assembly_is_found_when_nothing_marks_it(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id = begin(ledger, 1)
    complete(ledger, narration_id, [0])
    redis_client.delete(RedisKeys(settings.redis_prefix).waiting(narration_id))
    assert resent(ledger, narration_id, grace_s=60, heads={}) == ["assemble"]


def test_the_plan_is_found_when_nothing_marks_it(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> None:
    narration_id = enter(ledger)
    redis_client.delete(RedisKeys(settings.redis_prefix).waiting(narration_id))
    assert resent(ledger, narration_id, grace_s=60, heads={}) == ["plan"]


def test_a_wider_window_is_filled(ledger: Ledger, settings: Settings) -> None:
    narration_id = begin(ledger, 9)
    wider = Ledger(connect_redis(settings), settings, window=6)
    assert resent(wider, narration_id, grace_s=60, heads={}) == ["4", "5"]
    token = granted(ledger, narration_id, "0")
    assert ledger.complete(narration_id, 0, token, take()).items == []  # the narrow one holds back until there is room


def test_a_narration_without_a_record_is_forgotten(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    lost = keys.new_id()
    redis_client.zadd(RedisKeys(settings.redis_prefix).active(), {lost: 1})
    open_id = enter(ledger)
    resends = ledger.reconcile_many([lost, open_id], grace_s=0, heads=NO_MESSAGES)
    assert [(resend.narration_id, resend.item) for resend in resends] == [(open_id, "plan")]
    assert ledger.active() == [open_id]
