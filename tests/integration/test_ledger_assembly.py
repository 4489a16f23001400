"""When a narration is assembled, and the commit that ends it, in a real Valkey."""

from __future__ import annotations

import pytest
import redis
from ledgerwork import NO_MESSAGES, Places, audio, begin, claim, complete, fail_for_good, granted, take

from producer.connection import connect_redis
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import ClaimOutcome, Ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4)


def test_the_assembly_is_asked_for_when_every_segment_has_ended(ledger: Ledger) -> None:
    narration_id = begin(ledger, 3)
    complete(ledger, narration_id, [2, 0])
    assert claim(ledger, narration_id, "assemble").outcome is ClaimOutcome.DONE
    token = granted(ledger, narration_id, "1")
    assert ledger.complete(narration_id, 1, token, take()).needs_assembly


def test_a_redelivered_completion_asks_again_until_somebody_assembles(ledger: Ledger) -> None:
    """The worker may have died between writing the last take and sending the message."""
    narration_id = begin(ledger, 1)
    token = granted(ledger, narration_id, "0")
    for _ in range(3):
        assert ledger.complete(narration_id, 0, token, take()).needs_assembly
    assert claim(ledger, narration_id, "0").dispatch.needs_assembly
    granted(ledger, narration_id, "assemble")
    assert ledger.record(narration_id).state is State.FINALIZING
    assert not ledger.complete(narration_id, 0, token, take()).needs_assembly
    assert not claim(ledger, narration_id, "0").dispatch.needs_assembly


def test_the_assembly_is_asked_for_when_the_last_segment_fails(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, "1")
    assert ledger.fail(narration_id, "1", token, code="c", reason="r", is_final=True).needs_assembly


def test_the_details_are_there_for_the_assembly(ledger: Ledger) -> None:
    narration_id = begin(ledger, 3)
    complete(ledger, narration_id, [0, 2])
    fail_for_good(ledger, narration_id, "1")
    assert ledger.takes(narration_id) == {0: take(), 2: take()}
    assert ledger.failures(narration_id) == {1: ("no_end_of_speech", "it did not stop")}
    assert ledger.attempts(narration_id) == {"plan": 1, "0": 1, "1": 1, "2": 1}


def test_a_commit_ends_the_narration_and_leaves_only_its_record(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id = begin(ledger, 2)
    complete(ledger, narration_id, [0, 1])
    token = granted(ledger, narration_id, "assemble")
    assert ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
    record = ledger.record(narration_id)
    status = record.status
    assert (status.state, status.duration_s, status.size_bytes, status.num_done) == (State.SUCCEEDED, 2.5, 4_321, 2)
    assert status.finished_at is not None
    assert record.audio == audio()
    key = RedisKeys(settings.redis_prefix).record(narration_id)
    assert list(redis_client.scan_iter(f"{key}*")) == [key.encode()]
    assert 0 < redis_client.ttl(key) <= settings.retention_days * 86_400
    assert ledger.active() == []


def test_only_one_of_two_assemblies_commits(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> None:
    narration_id = begin(ledger, 1)
    complete(ledger, narration_id, [0])
    zombie = granted(ledger, narration_id, "assemble")
    Places(redis_client, settings, narration_id).end_lease("assemble")
    heir = granted(ledger, narration_id, "assemble")
    assert not ledger.commit(narration_id, zombie, state=State.SUCCEEDED, audio=audio())
    assert ledger.commit(narration_id, heir, state=State.SUCCEEDED, audio=audio())
    assert ledger.commit(narration_id, heir, state=State.SUCCEEDED, audio=audio())  # its answer was lost
    assert not ledger.commit(narration_id, zombie, state=State.FAILED, audio=None)
    record = ledger.record(narration_id)
    assert (record.state, record.num_rejected) == (State.SUCCEEDED, 2)


def test_a_narration_with_a_gap_is_never_succeeded(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    complete(ledger, narration_id, [0])
    fail_for_good(ledger, narration_id, "1")
    token = granted(ledger, narration_id, "assemble")
    with pytest.raises(ValueError, match="partial or failed"):
        ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
    with pytest.raises(ValueError, match="cannot end as running"):
        ledger.commit(narration_id, token, state=State.RUNNING, audio=audio())
    reason = {"reason_code": "segments_failed", "reason": "1 of 2 segments failed"}
    assert ledger.commit(narration_id, token, state=State.PARTIAL, audio=audio(), **reason)
    status = ledger.record(narration_id).status
    assert (status.state, status.reason_code, status.reason) == (State.PARTIAL, *reason.values())


def test_a_cancelled_narration_is_not_committed(ledger: Ledger) -> None:
    narration_id = begin(ledger, 1)
    complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, "assemble")
    assert ledger.cancel(narration_id) is State.CANCELLED
    assert not ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
    record = ledger.record(narration_id)
    assert (record.state, record.audio) == (State.CANCELLED, None)


def test_a_final_state_survives_every_call(ledger: Ledger) -> None:
    narration_id = begin(ledger, 1)
    complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, "assemble")
    ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
    before = ledger.record(narration_id).status
    assert ledger.cancel(narration_id) is State.SUCCEEDED
    ledger.planned(narration_id, token, 5)
    ledger.complete(narration_id, 0, token, take())
    ledger.fail(narration_id, "assemble", token, code="c", reason="r", is_final=True)
    ledger.release(narration_id, "assemble", token, reason_code="c", reason="r")
    ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)
    assert ledger.record(narration_id).status == before


def test_an_assembly_that_failed_once_is_tried_again(ledger: Ledger) -> None:
    narration_id = begin(ledger, 1)
    complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, "assemble")
    failed = ledger.fail(narration_id, "assemble", token, code="storage_unavailable", reason="away", is_final=False)
    assert (failed.is_accepted, failed.needs_assembly) == (True, False)
    assert [resend.item for resend in ledger.reconcile(narration_id, grace_s=60, heads={})] == ["assemble"]
    assert claim(ledger, narration_id, "assemble").attempt == 2
