"""Claims, leases, tokens and the ways an attempt ends, in a real Valkey."""

from __future__ import annotations

import pytest
import redis
from ledgerwork import (
    NO_MESSAGES,
    WORKER,
    Places,
    begin,
    claim,
    complete,
    enter,
    fail_for_good,
    granted,
    take,
)
from processes import wait_for

from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.errors import MalformedMessageError
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import ClaimOutcome, Ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4, max_attempts=3)


def test_an_item_has_one_owner_at_a_time(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    token = granted(ledger, narration_id, "0")
    second = claim(ledger, narration_id, "0")
    assert (second.outcome, second.token, second.attempt) == (ClaimOutcome.BUSY, None, 0)
    assert ledger.renew([(narration_id, "0", token), (narration_id, "1", token)]) == [True, False]


def test_the_status_tells_each_step(ledger: Ledger) -> None:
    narration_id = enter(ledger)
    token = granted(ledger, narration_id, "plan")
    status = ledger.record(narration_id).status
    assert status.state is State.QUEUED
    assert status.started_at is not None
    dispatch = ledger.planned(narration_id, token, 6)
    assert dispatch.items == ["0", "1", "2", "3"]
    assert ledger.record(narration_id).state is State.RUNNING
    token = granted(ledger, narration_id, "2")
    assert ledger.complete(narration_id, 2, token, take(seconds=2.5, is_reused=True)).items == ["4"]
    status = ledger.record(narration_id).status
    assert (status.num_segments, status.num_done, status.num_reused, status.audio_s) == (6, 1, 1, 2.5)
    assert status.num_attempts == 1


def test_a_plan_that_was_accepted_is_not_planned_again(ledger: Ledger) -> None:
    narration_id = enter(ledger)
    token = granted(ledger, narration_id, "plan")
    first = ledger.planned(narration_id, token, 6)
    again = ledger.planned(narration_id, token, 6)
    assert (again.is_accepted, again.items) == (True, first.items)
    assert not ledger.planned(narration_id, token, 7).is_accepted
    assert not ledger.planned(narration_id, "stale", 6).is_accepted
    assert claim(ledger, narration_id, "plan").outcome is ClaimOutcome.DONE
    assert ledger.record(narration_id).num_segments == 6


def test_a_completion_repeated_with_its_token_is_accepted_and_counts_once(ledger: Ledger) -> None:
    narration_id = begin(ledger, 6)
    token = granted(ledger, narration_id, "0")
    assert ledger.complete(narration_id, 0, token, take()).items == ["4"]
    again = ledger.complete(narration_id, 0, token, take())
    assert (again.is_accepted, again.items) == (True, [])
    status = ledger.record(narration_id)
    assert (status.status.num_done, status.status.audio_s, status.num_rejected) == (1, 1.5, 0)
    assert status.status.engine_s == 0.2


def test_a_stale_token_is_rejected_and_counted(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> None:
    narration_id = begin(ledger, 2)
    zombie = granted(ledger, narration_id, "0")
    Places(redis_client, settings, narration_id).end_lease("0")
    heir = granted(ledger, narration_id, "0")
    assert not ledger.complete(narration_id, 0, zombie, take(seconds=9)).is_accepted
    assert not ledger.fail(narration_id, "0", zombie, code="x", reason="y", is_final=True).is_accepted
    assert not ledger.release(narration_id, "0", zombie)
    assert ledger.renew([(narration_id, "0", zombie)]) == [False]
    assert ledger.complete(narration_id, 0, heir, take()).is_accepted
    assert not ledger.complete(narration_id, 0, zombie, take(seconds=9)).is_accepted
    record = ledger.record(narration_id)
    assert (record.num_rejected, record.status.num_done, record.status.audio_s) == (4, 1, 1.5)
    assert record.status.num_attempts == 2
    events = [entry["event"] for entry in ledger.log(narration_id) if entry["item"] == "0"]
    assert events == ["claimed", "expired", "claimed", *["rejected"] * 3, "completed", "rejected"]


def test_a_lease_that_ran_out_is_given_to_another_and_its_late_owner_is_refused(
    settings: Settings, redis_client: redis.Redis
) -> None:
    hasty = Ledger(connect_redis(settings), settings, lease_s=0.05)
    narration_id = begin(hasty, 1)
    token = granted(hasty, narration_id, "0")
    places = Places(redis_client, settings, narration_id)
    wait_for(lambda: places.now_ms() >= places.leases()["0"], "the lease to run out")
    (resend,) = hasty.reconcile(narration_id, grace_s=60, heads={})
    assert (resend.item, resend.queue) == ("0", "narration.synthesize.suspect")
    assert not hasty.complete(narration_id, 0, token, take()).is_accepted
    assert claim(hasty, narration_id, "0").attempt == 2


def test_renewing_keeps_a_lease(ledger: Ledger, settings: Settings, redis_client: redis.Redis) -> None:
    hasty = Ledger(connect_redis(settings), settings, lease_s=0.05)
    narration_id = begin(ledger, 1)
    token = granted(hasty, narration_id, "0")
    places = Places(redis_client, settings, narration_id)
    wait_for(lambda: places.now_ms() >= places.leases()["0"], "the lease to run out")
    # Nobody has noticed yet, so the work is still of use.
    assert ledger.renew([(narration_id, "0", token)]) == [True]
    assert ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES) == []
    assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.BUSY


def test_a_failed_attempt_is_tried_again_at_once(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    token = granted(ledger, narration_id, "0")
    dispatch = ledger.fail(narration_id, "0", token, code="synthesis", reason="noise", is_final=False)
    assert (dispatch.is_accepted, dispatch.items) == (True, ["0"])
    assert not ledger.fail(narration_id, "0", token, code="synthesis", reason="noise", is_final=False).is_accepted
    assert claim(ledger, narration_id, "0").attempt == 2


def test_a_pause_is_kept_before_the_next_attempt(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> None:
    narration_id = begin(ledger, 2)
    places = Places(redis_client, settings, narration_id)
    token = granted(ledger, narration_id, "0")
    dispatch = ledger.fail(narration_id, "0", token, code="c", reason="r", is_final=False, delay_s=500)
    assert (dispatch.is_accepted, dispatch.items) == (True, [])
    assert places.delayed()["0"] > places.now_ms() + 400_000
    assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.BUSY
    assert ledger.reconcile(narration_id, grace_s=60, heads={}) == []
    places.end_pause("0")
    assert [resend.item for resend in ledger.reconcile(narration_id, grace_s=60, heads={})] == ["0"]
    assert claim(ledger, narration_id, "0").attempt == 2


def test_the_last_attempt_is_final_and_moves_the_window(ledger: Ledger) -> None:
    narration_id = begin(ledger, 6)
    for attempt in (1, 2, 3):
        answer = claim(ledger, narration_id, "0")
        assert answer.attempt == attempt
        dispatch = ledger.fail(narration_id, "0", answer.token, code="synthesis", reason="noise", is_final=False)
    assert dispatch.items == ["4"]
    assert ledger.failures(narration_id) == {0: ("synthesis", "noise")}
    assert ledger.record(narration_id).status.num_failed == 1
    assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.DONE


def test_a_final_failure_repeated_with_its_token_counts_once(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    token = granted(ledger, narration_id, "0")
    for _ in range(2):
        assert ledger.fail(narration_id, "0", token, code="c", reason="r", is_final=True).is_accepted
    assert not ledger.complete(narration_id, 0, token, take()).is_accepted
    assert ledger.record(narration_id).status.num_failed == 1


def test_a_segment_whose_attempts_all_end_without_a_result_ends_as_failed(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id = begin(ledger, 1)
    for _ in range(2):
        token = granted(ledger, narration_id, "0")
        ledger.fail(narration_id, "0", token, code="c", reason="r", is_final=False)
    granted(ledger, narration_id, "0")
    Places(redis_client, settings, narration_id).end_lease("0")
    answer = claim(ledger, narration_id, "0")
    assert (answer.outcome, answer.token, answer.attempt) == (ClaimOutcome.EXHAUSTED, None, 3)
    assert answer.dispatch.needs_assembly
    assert ledger.failures(narration_id)[0][0] == "attempts_exhausted"


@pytest.mark.parametrize("item", ["plan", "assemble"])
def test_the_narration_fails_when_its_plan_or_assembly_ends_two_processes(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings, item: str
) -> None:
    narration_id = enter(ledger) if item == "plan" else begin(ledger, 1)
    if item == "assemble":
        complete(ledger, narration_id, [0])
    for _ in range(2):
        granted(ledger, narration_id, item)
        Places(redis_client, settings, narration_id).end_lease(item)
    assert claim(ledger, narration_id, item).outcome is ClaimOutcome.EXHAUSTED
    status = ledger.record(narration_id).status
    assert (status.state, status.reason_code) == (State.FAILED, "poisoned")
    assert ledger.active() == []


@pytest.mark.parametrize("item", ["plan", "assemble"])
def test_the_narration_fails_with_the_reason_of_its_plan_or_assembly(ledger: Ledger, item: str) -> None:
    narration_id = enter(ledger) if item == "plan" else begin(ledger, 1)
    if item == "assemble":
        complete(ledger, narration_id, [0])
    token = granted(ledger, narration_id, item)
    for _ in range(2):  # the second is the repetition of a call whose answer was lost
        dispatch = ledger.fail(narration_id, item, token, code="text_empty", reason="nothing to say", is_final=True)
        assert (dispatch.is_accepted, dispatch.items, dispatch.needs_assembly) == (True, [], False)
    record = ledger.record(narration_id)
    assert (record.state, record.status.reason_code, record.status.reason) == (
        State.FAILED,
        "text_empty",
        "nothing to say",
    )
    assert record.num_rejected == 0
    assert ledger.log(narration_id)[-1]["code"] == "text_empty"


def test_a_failed_plan_is_tried_again_by_the_reconciler(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id = enter(ledger)
    token = granted(ledger, narration_id, "plan")
    dispatch = ledger.fail(narration_id, "plan", token, code="storage_unavailable", reason="away", is_final=False)
    assert (dispatch.is_accepted, dispatch.items) == (True, [])
    (resend,) = ledger.reconcile(narration_id, grace_s=60, heads={})
    assert (resend.item, resend.queue) == ("plan", "narration.plan")


def test_a_released_attempt_does_not_count(ledger: Ledger) -> None:
    narration_id = begin(ledger, 1)
    for _ in range(9):
        answer = claim(ledger, narration_id, "0")
        assert answer.attempt == 1
        assert ledger.release(narration_id, "0", answer.token)
    assert ledger.attempts(narration_id)["0"] == 0
    assert ledger.record(narration_id).status.num_attempts == 0


def test_a_released_item_says_what_it_waits_for_until_somebody_takes_it(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id = begin(ledger, 1)
    token = granted(ledger, narration_id, "0")
    ledger.release(narration_id, "0", token, delay_s=500, reason_code="engine_unavailable", reason="no GPU here")
    status = ledger.record(narration_id).status
    assert (status.state, status.reason_code, status.reason) == (State.RUNNING, "engine_unavailable", "no GPU here")
    assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.BUSY
    Places(redis_client, settings, narration_id).end_pause("0")
    granted(ledger, narration_id, "0")
    assert ledger.record(narration_id).status.reason_code is None


def test_the_first_segment_pins_the_engine(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> None:
    narration_id = begin(ledger, 3)
    assert ledger.claim(narration_id, "0", WORKER, engine_identity="chatterbox int8").is_granted
    other = ledger.claim(narration_id, "1", "worker-2", engine_identity="chatterbox bf16")
    assert (other.outcome, other.attempt) == (ClaimOutcome.OTHER_ENGINE, 0)
    status = ledger.record(narration_id).status
    assert (status.engine_identity, status.reason_code) == ("chatterbox int8", "engine_unavailable")
    assert ledger.attempts(narration_id).get("1") is None
    # It rests, for a segment that waited for nobody would keep those of others from being sent.
    places = Places(redis_client, settings, narration_id)
    assert ("1" in places.waiting(), "1" in places.delayed(), "1" in places.lane()) == (False, True, False)
    places.end_pause("1")
    assert ledger.claim(narration_id, "1", WORKER, engine_identity="chatterbox int8").is_granted


@pytest.mark.parametrize(("item", "outcome"), [("3", ClaimOutcome.DONE), ("999", ClaimOutcome.DONE)])
def test_a_segment_that_was_not_sent_yet_is_not_given_away(ledger: Ledger, item: str, outcome: ClaimOutcome) -> None:
    narrow = begin(Ledger(ledger._client, ledger._settings, window=2), 9)
    assert claim(ledger, narrow, item).outcome is outcome


def test_nothing_is_claimed_of_a_narration_that_is_not_there_or_has_ended(ledger: Ledger) -> None:
    unknown = keys.new_id()
    assert claim(ledger, unknown, "0").outcome is ClaimOutcome.ENDED
    assert not ledger.complete(unknown, 0, "token", take()).is_accepted
    assert ledger.read([unknown]) == [None]
    ended = begin(ledger, 1)
    ledger.cancel(ended)
    assert [claim(ledger, ended, item).outcome for item in ("plan", "0", "assemble")] == [ClaimOutcome.ENDED] * 3


@pytest.mark.parametrize("item", ["", "-1", "01", "1.5", "all", "0 ", "1e9", "\u0661"])
def test_an_item_made_by_hand_is_refused(ledger: Ledger, item: str) -> None:
    with pytest.raises(MalformedMessageError):
        claim(ledger, begin(ledger, 1), item)


def test_every_step_is_in_the_log(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    complete(ledger, narration_id, [0])
    fail_for_good(ledger, narration_id, "1")
    log = ledger.log(narration_id)
    assert [(entry["event"], entry["item"]) for entry in log] == [
        ("claimed", "plan"),
        ("planned", "plan"),
        ("claimed", "0"),
        ("completed", "0"),
        ("claimed", "1"),
        ("failed", "1"),
    ]
    assert [entry["at_ms"] for entry in log] == sorted(entry["at_ms"] for entry in log)
    assert log[2] == {**log[2], "worker": WORKER, "attempt": 1, "token": log[3]["token"]}
