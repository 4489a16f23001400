"""Records put back into a real Valkey: what they say, what is sent, and that a repeated call changes nothing."""

from __future__ import annotations

import pytest
import redis
from ledgerwork import NO_MESSAGES, Places, begin, claim, complete, granted, new_narration, take

from producer.connection import connect_redis
from producer.contract.keys import RedisKeys, new_id
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import ClaimOutcome, Ledger
from producer.ledger.restoring import RestoreOutcome, Restoring

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4)


@pytest.fixture
def restoring(settings: Settings) -> Restoring:
    return Restoring(connect_redis(settings), settings, window=4)


def begin_restore(restoring: Restoring, num_segments: int, **fields: object) -> str:
    """Begin to put back a narration of so many segments and return its id."""
    new = new_narration(**fields)
    answer = restoring.restore_running(new.request, new.request_ref, num_segments=num_segments, engine_identity="e/1")
    assert answer.outcome is RestoreOutcome.RESTORING
    return new.request.id


def sent_by_reconciler(ledger: Ledger, narration_id: str) -> list[str]:
    """Return the items that one pass of the reconciler sends."""
    return [resend.item for resend in ledger.reconcile(narration_id, grace_s=60.0, heads=NO_MESSAGES)]


def test_what_was_queued_is_queued_again(ledger, restoring, redis_client, settings):
    new = new_narration(batch_id=new_id(), custom_id="c1")
    answer = restoring.restore_queued(new.request, new.request_ref)
    assert answer.outcome is RestoreOutcome.RESTORED
    record = ledger.record(new.request.id)
    assert (record.state, record.request_ref) == (State.QUEUED, new.request_ref)
    assert record.content_hash == new.request.narration.content_hash()
    assert abs((record.status.created_at - new.request.submitted_at).total_seconds()) < 0.01
    assert [each.custom_id for each in ledger.recent(batch_id=new.request.batch_id)] == ["c1"]
    assert ledger.active() == [new.request.id]
    assert Places(redis_client, settings, new.request.id).waiting() == {"plan": answer.sent_ms}
    # The same text under the same key is the same narration.
    assert ledger.create([new])[0].outcome == "exists"
    assert claim(ledger, new.request.id, "plan").is_granted


def test_what_has_a_record_is_left_alone(ledger, restoring):
    narration_id = begin(ledger, 3)
    new = new_narration(narration_id=narration_id)
    assert restoring.restore_queued(new.request, "elsewhere").outcome is RestoreOutcome.EXISTS
    assert restoring.restore_running(new.request, "x", num_segments=9, engine_identity=None).outcome == "exists"
    assert not restoring.restore_takes(narration_id, {0: take()})
    assert ledger.record(narration_id).num_segments == 3
    assert restoring.exist([narration_id, new_id()]) == [True, False]


def test_a_narration_goes_on_where_it_was(ledger, restoring, redis_client, settings):
    narration_id = begin_restore(restoring, 10)
    places = Places(redis_client, settings, narration_id)
    assert ledger.active() == []  # the reconciler does not look at it yet
    assert restoring.exist([narration_id]) == [False]
    for item in ("plan", "0", "assemble"):  # messages of before
        assert claim(ledger, narration_id, item).outcome is ClaimOutcome.DONE
    found = {0: take(), 1: None, 2: take(seconds=2.0), 3: None, 4: take()}
    assert restoring.restore_takes(narration_id, found)
    assert claim(ledger, narration_id, "1").outcome is ClaimOutcome.DONE
    assert restoring.restore_takes(narration_id, found)  # the reply was lost
    assert places.waiting() == {}
    assert restoring.restore_ready(narration_id, cursor=5)
    assert restoring.restore_ready(narration_id, cursor=0)  # the reply was lost
    assert sent_by_reconciler(ledger, narration_id) == ["1", "3", "5", "6"]
    status = ledger.record(narration_id).status
    assert (status.state, status.num_done, status.num_attempts, status.audio_s) == (State.RUNNING, 3, 3, 5.0)
    assert status.engine_identity == "e/1"
    assert (ledger.active(), places.reopened(), places.num_done()) == ([narration_id], {}, 3)
    assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.DONE
    complete(ledger, narration_id, [1, 3, 5, 6, 7, 8])
    token = granted(ledger, narration_id, "9")
    assert ledger.complete(narration_id, 9, token, take()).needs_assembly


def test_the_assembly_is_asked_for_when_every_segment_is_there(ledger, restoring):
    narration_id = begin_restore(restoring, 2)
    restoring.restore_takes(narration_id, {0: take(), 1: take()})
    restoring.restore_ready(narration_id, cursor=2)
    assert sent_by_reconciler(ledger, narration_id) == ["assemble"]


def test_a_restoration_that_was_broken_off_is_taken_up_again(ledger, restoring):
    new = new_narration()
    for indexes in ([0], [0, 1]):  # the first one dies after one take
        answer = restoring.restore_running(new.request, new.request_ref, num_segments=3, engine_identity="e/1")
        assert answer.outcome is RestoreOutcome.RESTORING
        assert restoring.restore_takes(new.request.id, {index: take() for index in indexes})
    restoring.restore_ready(new.request.id, cursor=2)
    assert sent_by_reconciler(ledger, new.request.id) == ["2"]
    assert ledger.record(new.request.id).status.num_done == 2


def test_what_is_cancelled_in_the_middle_stays_cancelled(ledger, restoring):
    new = new_narration()
    restoring.restore_running(new.request, new.request_ref, num_segments=3, engine_identity=None)
    ledger.cancel(new.request.id)
    assert not restoring.restore_takes(new.request.id, {0: take()})
    assert not restoring.restore_ready(new.request.id, cursor=0)
    answer = restoring.restore_running(new.request, new.request_ref, num_segments=3, engine_identity=None)
    assert answer.outcome is RestoreOutcome.EXISTS
    assert ledger.record(new.request.id).state is State.CANCELLED


def test_what_has_ended_is_put_back_with_the_time_that_it_has_left(
    ledger, restoring, redis_client: redis.Redis, settings
):
    new = new_narration()
    fields = {"num_segments": 3, "num_done": 3, "finished_ms": 1_000}
    restoring.restore_ended(new.request, new.request_ref, State.SUCCEEDED, fields, stays_s=60.0)
    status = ledger.record(new.request.id).status
    assert (status.state, status.num_done, status.num_segments) == (State.SUCCEEDED, 3, 3)
    assert 0 < redis_client.pttl(RedisKeys(settings.redis_prefix).record(new.request.id)) <= 60_000
    assert ledger.active() == []
    with pytest.raises(ValueError, match="no final state"):
        restoring.restore_ended(new.request, "x", State.RUNNING, {}, stays_s=1.0)


def test_a_batch_keeps_its_order(ledger, restoring):
    batch_id = new_id()
    entries = [new_narration(batch_id=batch_id, custom_id=str(number)) for number in range(5)]
    for new in sorted(entries, key=lambda entry: entry.request.id[::-1]):
        restoring.restore_queued(new.request, new.request_ref)
    assert [each.custom_id for each in ledger.recent(batch_id=batch_id)] == ["4", "3", "2", "1", "0"]
