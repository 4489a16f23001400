"""Segments that were done and whose audio is lost: the assembly gives them back, in a real Valkey."""

from __future__ import annotations

import itertools

import pytest
import redis
from ledgerwork import NO_MESSAGES, Places, audio, begin, claim, complete, granted, take

from producer.connection import connect_redis
from producer.contract.errors import MalformedMessageError, QueueUnavailableError
from producer.contract.settings import Settings
from producer.contract.status import State
from producer.ledger import ClaimOutcome, Ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4)


def assembling(ledger: Ledger, num_segments: int) -> tuple[str, str]:
    """Return the id of a narration whose segments are all done, and the token of its assembly."""
    narration_id = begin(ledger, num_segments)
    complete(ledger, narration_id, range(num_segments))
    return narration_id, granted(ledger, narration_id, "assemble")


def test_lost_segments_are_sent_again_and_the_others_stay(ledger: Ledger) -> None:
    narration_id = begin(ledger, 6)
    complete(ledger, narration_id, [0, 1, 2, 3])
    for index in (4, 5):
        facts = take(seconds=2.0005, is_reused=True)
        ledger.complete(narration_id, index, granted(ledger, narration_id, str(index)), facts)
    token = granted(ledger, narration_id, "assemble")
    dispatch = ledger.reopen(narration_id, token, [4, 1])
    assert (dispatch.is_accepted, dispatch.items, dispatch.needs_assembly) == (True, ["1", "4"], False)
    status = ledger.record(narration_id).status
    assert (status.state, status.num_done, status.num_reused, status.num_failed) == (State.RUNNING, 4, 1, 0)
    assert status.audio_s == pytest.approx(3 * 1.5 + 2.001)
    assert set(ledger.takes(narration_id)) == {0, 2, 3, 5}
    assert claim(ledger, narration_id, "0").outcome is ClaimOutcome.DONE
    assert claim(ledger, narration_id, "assemble").outcome is ClaimOutcome.DONE

    complete(ledger, narration_id, [4])
    last = granted(ledger, narration_id, "1")
    assert ledger.complete(narration_id, 1, last, take()).needs_assembly
    again = claim(ledger, narration_id, "assemble")
    assert again.attempt == 1  # giving segments back is no failed attempt
    assert ledger.commit(narration_id, again.token, state=State.SUCCEEDED, audio=audio())
    assert ledger.record(narration_id).status.num_attempts == 8


def test_no_more_than_a_window_is_out_when_many_segments_are_lost(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    narration_id, token = assembling(ledger, 11)
    places = Places(redis_client, settings, narration_id)
    assert ledger.reopen(narration_id, token, range(11)).items == ["0", "1", "2", "3"]
    assert ledger.record(narration_id).status.num_done == 0
    assert claim(ledger, narration_id, "9").outcome is ClaimOutcome.DONE  # not its turn yet
    for index in range(11):
        assert len(places.waiting()) == min(4, 11 - index)
        complete(ledger, narration_id, [index])
    assert set(places.waiting()) == {"assemble"}


def test_a_repeated_call_names_what_waits_and_changes_nothing(ledger: Ledger) -> None:
    narration_id, token = assembling(ledger, 3)
    first = ledger.reopen(narration_id, token, [0, 2])
    complete(ledger, narration_id, [0])
    again = ledger.reopen(narration_id, token, [0, 2])
    assert (first.items, again.is_accepted, again.items) == (["0", "2"], True, ["2"])
    assert ledger.record(narration_id).status.num_done == 2


def test_nothing_of_it_is_left_when_the_narration_is_cancelled(ledger: Ledger, redis_client: redis.Redis) -> None:
    narration_id, token = assembling(ledger, 6)
    ledger.reopen(narration_id, token, range(6))
    ledger.cancel(narration_id)
    left = {key.decode().rpartition(narration_id)[2] for key in redis_client.scan_iter(f"*{narration_id}*")}
    assert left == {"", ":log"}


def test_a_stale_token_reopens_nothing(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> None:
    narration_id, zombie = assembling(ledger, 2)
    Places(redis_client, settings, narration_id).end_lease("assemble")
    heir = granted(ledger, narration_id, "assemble")
    assert not ledger.reopen(narration_id, zombie, [0]).is_accepted
    assert (ledger.record(narration_id).status.num_done, ledger.record(narration_id).num_rejected) == (2, 1)
    assert ledger.commit(narration_id, heir, state=State.SUCCEEDED, audio=audio())
    assert not ledger.reopen(narration_id, heir, [0]).is_accepted


def test_who_gave_segments_back_does_not_commit_when_they_are_done_again(ledger: Ledger) -> None:
    """It read the takes before they were lost, so what it would write is not what is there."""
    narration_id, token = assembling(ledger, 2)
    ledger.reopen(narration_id, token, [1])
    complete(ledger, narration_id, [1])
    assert not ledger.commit(narration_id, token, state=State.SUCCEEDED, audio=audio())
    assert not ledger.record(narration_id).state.is_terminal


def test_a_late_completion_of_a_lost_take_is_refused(ledger: Ledger) -> None:
    narration_id = begin(ledger, 1)
    token = granted(ledger, narration_id, "0")
    ledger.complete(narration_id, 0, token, take())
    ledger.reopen(narration_id, granted(ledger, narration_id, "assemble"), [0])
    assert not ledger.complete(narration_id, 0, token, take()).is_accepted


def test_a_segment_becomes_a_gap_when_its_audio_is_lost_each_time(settings: Settings) -> None:
    ledger = Ledger(connect_redis(settings), settings, window=4, max_attempts=2)
    narration_id, token = assembling(ledger, 2)
    assert ledger.reopen(narration_id, token, [1]).items == ["1"]
    complete(ledger, narration_id, [1])
    dispatch = ledger.reopen(narration_id, granted(ledger, narration_id, "assemble"), [1])
    assert (dispatch.items, dispatch.needs_assembly) == ([], True)
    code, reason = ledger.failures(narration_id)[1]
    assert (code, reason) == ("attempts_exhausted", "its audio was lost when its 2 attempts were used up")
    token = granted(ledger, narration_id, "assemble")
    assert ledger.commit(narration_id, token, state=State.PARTIAL, audio=audio())


@pytest.mark.parametrize("end", ["dies", "gives it back", "fails"])
def test_the_reconciler_goes_on_when_the_call_was_broken_off(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    narration_id, token = assembling(ledger, 6)
    run, num_calls = ledger._run, itertools.count()

    def run_once(*arguments: str | int) -> object:
        if next(num_calls):
            raise QueueUnavailableError("redis", "away")
        return run(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "_run", run_once)
        with pytest.raises(QueueUnavailableError):
            ledger.reopen(narration_id, token, range(6))
    assert ledger.record(narration_id).status.num_done == 2
    # Until the assembly is over nothing is sent, so that a repeated call finds everything as the first left it.
    assert ledger.reconcile(narration_id, grace_s=60, heads={}) == []
    sent = []
    match end:
        case "dies":
            Places(redis_client, settings, narration_id).end_lease("assemble")
        case "gives it back":
            assert ledger.release(narration_id, "assemble", token)
        case "fails":
            sent += ledger.fail(narration_id, "assemble", token, code="c", reason="r", is_final=False).items
    sent += [resend.item for resend in ledger.reconcile(narration_id, grace_s=60, heads={})]
    assert [item for item in sent if item != "assemble"] == ["0", "1", "2", "3"]
    assert ledger.record(narration_id).state is State.RUNNING
    complete(ledger, narration_id, [0, 1, 2])
    token = granted(ledger, narration_id, "3")
    assert ledger.complete(narration_id, 3, token, take()).needs_assembly
    assert ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)[0].item == "assemble"


def test_a_call_without_segments_or_with_something_else_is_an_error(ledger: Ledger) -> None:
    narration_id, token = assembling(ledger, 1)
    with pytest.raises(ValueError, match="nothing to reopen"):
        ledger.reopen(narration_id, token, [])
    with pytest.raises(MalformedMessageError):
        ledger.reopen(narration_id, token, [-1])
    assert ledger.reopen(narration_id, token, [7, 0]).items == ["0"]  # there is no 7
