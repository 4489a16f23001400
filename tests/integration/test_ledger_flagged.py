"""How many segments of a narration are flagged, counted in a real Valkey."""

from __future__ import annotations

import pytest
from ledgerwork import begin, complete, granted, new_narration, take

from producer.connection import connect_redis
from producer.contract.settings import Settings
from producer.ledger import Ledger
from producer.ledger.restoring import Restoring

pytestmark = pytest.mark.integration

FLAGGED = take(flags=("cut_off", "too_short"))


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings, window=4)


def num_flagged(ledger: Ledger, narration_id: str) -> int:
    return ledger.record(narration_id).status.num_flagged


def test_a_flagged_segment_counts_once_however_often_it_is_told(ledger: Ledger) -> None:
    narration_id = begin(ledger, 3)
    assert num_flagged(ledger, narration_id) == 0
    token = granted(ledger, narration_id, "0")
    for _ in range(3):
        assert ledger.complete(narration_id, 0, token, FLAGGED).is_accepted
    complete(ledger, narration_id, [1])
    assert num_flagged(ledger, narration_id) == 1
    assert not ledger.complete(narration_id, 2, "stale", FLAGGED).is_accepted
    assert num_flagged(ledger, narration_id) == 1
    assert ledger.takes(narration_id)[0].flags == ("cut_off", "too_short")


def test_a_segment_that_is_taken_back_is_flagged_no_more(ledger: Ledger) -> None:
    narration_id = begin(ledger, 2)
    for index in (0, 1):
        ledger.complete(narration_id, index, granted(ledger, narration_id, str(index)), FLAGGED)
    ledger.reopen(narration_id, granted(ledger, narration_id, "assemble"), [1])
    assert num_flagged(ledger, narration_id) == 1
    complete(ledger, narration_id, [1])
    assert num_flagged(ledger, narration_id) == 1


def test_takes_that_are_put_back_bring_their_flags(ledger: Ledger, settings: Settings) -> None:
    restoring = Restoring(connect_redis(settings), settings, window=4)
    new = new_narration()
    restoring.restore_running(new.request, new.request_ref, num_segments=3, engine_identity="e/1")
    for _ in range(2):
        assert restoring.restore_takes(new.request.id, {0: FLAGGED, 1: take()})
    assert num_flagged(ledger, new.request.id) == 1
