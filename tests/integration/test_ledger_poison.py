"""Segments that end the process that speaks them, in a real Valkey: they are found out, their neighbours spoken."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import redis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ledgerwork import NO_MESSAGES, Places, begin, complete, take

from producer.connection import connect_redis
from producer.contract.keys import RedisKeys
from producer.contract.settings import Settings
from producer.ledger import Claim, ClaimOutcome, Ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=8)


@pytest.fixture
def places(ledger: Ledger, redis_client: redis.Redis, settings: Settings) -> Places:
    return Places(redis_client, settings, begin(ledger, 4))


def claim(ledger: Ledger, places: Places, item: str, process: str, *, is_alone: bool = False) -> Claim:
    return ledger.claim(places.id, item, process, is_alone=is_alone)


def die_with(ledger: Ledger, places: Places, process: str, *items: str, is_alone: bool = False) -> None:
    """Let a process claim items and end without a word."""
    for item in items:
        assert claim(ledger, places, item, process, is_alone=is_alone).is_granted
    for item in items:
        places.end_lease(item)
    ledger.reconcile(places.id, grace_s=60, heads={})


def test_what_was_in_work_when_a_process_ended_is_given_only_to_one_that_holds_nothing_else(
    ledger: Ledger, places: Places
) -> None:
    die_with(ledger, places, "p1", "0", "1")
    refused = claim(ledger, places, "0", "p2")
    assert (refused.outcome, refused.token, refused.attempt) == (ClaimOutcome.SUSPECT, None, 0)
    assert ledger.attempts(places.id)["0"] == 1
    assert set(places.waiting()) == {"0", "1", "2", "3"}
    granted = claim(ledger, places, "0", "p2", is_alone=True)
    assert (granted.outcome, granted.attempt) == (ClaimOutcome.GRANTED, 2)
    assert ledger.complete(places.id, 0, granted.token, take()).is_accepted
    assert claim(ledger, places, "2", "p2").is_granted  # it was in no process that ended


def test_the_second_end_names_the_culprit_and_the_others_of_the_first_are_spoken(
    ledger: Ledger, places: Places
) -> None:
    die_with(ledger, places, "p1", "0", "1", "2")
    die_with(ledger, places, "p2", "1", is_alone=True)
    answer = claim(ledger, places, "1", "p3")
    assert (answer.outcome, answer.attempt) == (ClaimOutcome.EXHAUSTED, 2)
    assert ledger.failures(places.id) == {1: ("poisoned", "2 processes ended, or hung, while they worked on it")}
    complete(ledger, places.id, [0, 2, 3])
    assert claim(ledger, places, "assemble", "p3").is_granted


def test_a_lease_that_ran_out_unnoticed_counts_when_it_is_claimed(ledger: Ledger, places: Places) -> None:
    assert claim(ledger, places, "0", "p1").is_granted
    places.end_lease("0")
    assert claim(ledger, places, "0", "p2").outcome is ClaimOutcome.SUSPECT
    assert "0" in places.waiting()
    assert claim(ledger, places, "0", "p2").outcome is ClaimOutcome.SUSPECT  # counted once


def test_an_attempt_that_says_that_its_process_ends_counts_as_well(ledger: Ledger, places: Places) -> None:
    end = {"code": "engine_fault", "reason": "an assert", "is_final": False, "is_end": True}
    token = claim(ledger, places, "0", "p1").token
    assert ledger.fail(places.id, "0", token, **end).is_accepted
    assert claim(ledger, places, "0", "p2").outcome is ClaimOutcome.SUSPECT
    token = claim(ledger, places, "0", "p2", is_alone=True).token
    for _ in range(2):  # the second is the repetition of a call whose answer was lost
        assert ledger.fail(places.id, "0", token, **end).is_accepted
    assert ledger.failures(places.id) == {0: ("poisoned", "each attempt ended its process, the last one so: an assert")}


def test_other_failures_and_drains_are_no_end_of_a_process(ledger: Ledger, places: Places) -> None:
    token = claim(ledger, places, "0", "p1").token
    ledger.fail(places.id, "0", token, code="c", reason="r", is_final=False)
    assert claim(ledger, places, "0", "p1").is_granted
    token = claim(ledger, places, "1", "p1").token
    ledger.release(places.id, "1", token)
    assert claim(ledger, places, "1", "p1").is_granted


def test_a_suspect_that_was_spoken_is_none_any_more(ledger: Ledger, places: Places, settings: Settings) -> None:
    die_with(ledger, places, "p1", "0")
    token = claim(ledger, places, "0", "p2", is_alone=True).token
    ledger.complete(places.id, 0, token, take())
    complete(ledger, places.id, [1, 2, 3])
    token = claim(ledger, places, "assemble", "p2").token
    ledger.reopen(places.id, token, [0])
    assert claim(ledger, places, "0", "p2").is_granted


class Process:
    """A worker process as `worker.narration.attempt` is one: many items at once, or one suspect alone."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tokens: dict[str, str] = {}

    def take(self, ledger: Ledger, narration_id: str, item: str) -> None:
        answer = ledger.claim(narration_id, item, self.name)
        if answer.outcome is ClaimOutcome.SUSPECT and not self.tokens:
            answer = ledger.claim(narration_id, item, self.name, is_alone=True)
        if answer.token is not None:
            self.tokens[item] = answer.token


@hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    print_blob=True,
    phases=[Phase.generate],  # a run takes long, and to shrink one takes minutes
)
@given(
    poisons=st.sets(st.integers(0, 11), max_size=4),
    num_processes=st.integers(1, 3),
    capacity=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_exactly_the_poisonous_are_given_up_after_two_ends_and_all_others_are_spoken(
    settings: Settings, poisons: set[int], num_processes: int, capacity: int, seed: int
) -> None:
    """Whatever is in work beside them, in whatever order, and however many there are."""
    rng = random.Random(seed)
    client = connect_redis(settings)
    ledger = Ledger(client, settings, window=8)
    narration_id = begin(ledger, 12)
    places = Places(client, settings, narration_id)
    processes = [Process(f"{narration_id}:{number}") for number in range(num_processes)]
    num_ends: Counter[int] = Counter()
    is_alone = False
    for _ in range(2_000):
        if not (waiting := sorted(item for item in places.waiting() if item != "assemble")) and not any(
            process.tokens for process in processes
        ):
            break
        process = rng.choice(processes)
        is_alone = _holds_a_suspect(client, settings, narration_id, process)
        if waiting and len(process.tokens) < capacity and not is_alone and rng.random() < 0.6:
            process.take(ledger, narration_id, rng.choice(waiting))
        elif process.tokens:
            item = rng.choice(sorted(process.tokens))
            if int(item) in poisons:
                num_ends[int(item)] += 1
                for held in process.tokens:
                    places.end_lease(held)
                processes[processes.index(process)] = Process(f"{process.name}'")
                ledger.reconcile(narration_id, grace_s=60, heads={})
            else:
                assert ledger.complete(narration_id, int(item), process.tokens.pop(item), take()).is_accepted
        elif waiting:
            process.take(ledger, narration_id, waiting[0])
    assert {index: code for index, (code, _) in ledger.failures(narration_id).items()} == dict.fromkeys(
        poisons, "poisoned"
    )
    assert set(ledger.takes(narration_id)) == set(range(12)) - poisons
    # Its first end may have been another's doing; the one it had to itself was its own.
    assert all(1 <= num_ends[index] <= 2 for index in poisons)
    assert ledger.reconcile(narration_id, grace_s=0, heads=NO_MESSAGES)[0].item == "assemble"


def _holds_a_suspect(client: redis.Redis, settings: Settings, narration_id: str, process: Process) -> bool:
    suspects = client.hkeys(RedisKeys(settings.redis_prefix).suspects(narration_id))
    return any(item.encode() in suspects for item in process.tokens)
