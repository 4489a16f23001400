"""Whose segment is sent next, in a real Valkey: whoever comes now is behind little, and nobody is forgotten.

A worker is played that holds so many segments at once and finishes them in the order in which it got them; its queue is
first in, first out, as a Redis list is. All that is counted is claims: they are the time of a farm that is never idle.
"""

from __future__ import annotations

from collections import Counter, deque

import pytest
import redis
from ledgerwork import WORKER, Places, begin, take

from producer.connection import connect_redis
from producer.contract import keys
from producer.contract.settings import Settings
from producer.ledger import ClaimOutcome, Dispatch, Ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(connect_redis(settings), settings)


class Farm:
    """A queue and a worker; `claims` are the narrations whose segments were begun, in order."""

    def __init__(self, ledger: Ledger, capacity: int, engine_identity: str | None = None) -> None:
        self._ledger = ledger
        self._engine_identity = engine_identity
        self._capacity = capacity
        self._queue: deque[tuple[str, str]] = deque()
        self._held: deque[tuple[str, str, str]] = deque()
        self.claims: list[str] = []

    @property
    def num_waiting(self) -> int:
        return len(self._queue)

    @property
    def num_held(self) -> int:
        return len(self._held)

    def submit(self, num_segments: int, batch_id: str | None = None) -> str:
        return begin(self._ledger, num_segments, batch_id=batch_id, send=self._send)

    def _send(self, narration_id: str, dispatch: Dispatch) -> None:
        self._queue += [(narration_id, item) for item in dispatch.items]
        self._queue += dispatch.others

    def work(self, num_claims: int) -> None:
        """Begin so many segments, or as many as there are."""
        until = len(self.claims) + num_claims
        while len(self.claims) < until and (self._queue or self._held):
            if self._queue and len(self._held) < self._capacity:
                self._claim(*self._queue.popleft())
            else:
                narration_id, item, token = self._held.popleft()
                self._send(narration_id, self._ledger.complete(narration_id, int(item), token, take()))

    def _claim(self, narration_id: str, item: str) -> None:
        answer = self._ledger.claim(narration_id, item, WORKER, engine_identity=self._engine_identity)
        self._send(narration_id, answer.dispatch)
        if answer.outcome is ClaimOutcome.GRANTED:
            self._held.append((narration_id, item, answer.token or ""))
            self.claims.append(narration_id)

    def places_of(self, narration_id: str, since: int) -> list[int]:
        """Return after how many claims each of a narration's segments was begun."""
        return [at for at, claimed in enumerate(self.claims[since:], 1) if claimed == narration_id]


@pytest.mark.parametrize("has_batches", [True, False])
@pytest.mark.parametrize("capacity", [4, 64])
def test_ten_segments_behind_twenty_thousand_are_begun_at_once_and_done_soon(
    ledger: Ledger, capacity: int, has_batches: bool
) -> None:
    farm = Farm(ledger, capacity)
    books, stories = (keys.new_id(), keys.new_id()) if has_batches else (None, None)
    for _ in range(20):
        farm.submit(1_000, books)
    for _ in range(300):
        farm.submit(70, stories)
    farm.work(300)
    since = len(farm.claims)
    assert farm.num_waiting <= 16  # of more than twenty thousand
    newcomer = farm.submit(10)
    farm.work(200)
    begun = farm.places_of(newcomer, since)
    assert len(begun) == 10
    assert begun[0] <= 17
    # Alone it would take nine more; a quarter of the turns is for others, and what was sent before is begun first.
    assert begun[-1] <= 17 + 2 * 9


def test_two_books_share_the_farm_equally_whichever_came_first(ledger: Ledger) -> None:
    farm = Farm(ledger, 8)
    first = farm.submit(2_000)
    farm.work(500)
    second = farm.submit(2_000)
    farm.work(200)
    since = len(farm.claims)
    farm.work(200)
    share = Counter(farm.claims[since:])
    assert abs(share[first] - share[second]) <= 2


def test_a_book_goes_on_while_short_texts_keep_coming(ledger: Ledger) -> None:
    farm = Farm(ledger, 8)
    book = farm.submit(2_000)
    farm.work(200)
    since = len(farm.claims)
    for _ in range(30):
        farm.submit(10)
        farm.work(10)
    assert farm.claims[since:].count(book) >= 300 // 4 - 16


def test_short_texts_that_come_together_are_done_together(ledger: Ledger) -> None:
    farm = Farm(ledger, 4)
    farm.submit(2_000)
    farm.work(100)
    since = len(farm.claims)
    texts = [farm.submit(10) for _ in range(5)]
    farm.work(100)
    ends = [farm.places_of(text, since)[-1] for text in texts]
    assert max(ends) <= 17 + 50 * 4 // 3
    assert max(ends) - min(ends) <= 10


def test_a_batch_of_short_texts_counts_as_long_once_it_has_had_its_first_turns(ledger: Ledger) -> None:
    farm = Farm(ledger, 8)
    book = farm.submit(2_000)
    farm.work(300)
    batch_id = keys.new_id()
    for _ in range(40):
        farm.submit(10, batch_id)
    farm.work(110)
    since = len(farm.claims)
    farm.work(100)
    assert 45 <= farm.claims[since:].count(book) <= 55


def test_a_batch_counts_as_one_and_its_first_is_ready_first(ledger: Ledger) -> None:
    farm = Farm(ledger, 8)
    batch_id = keys.new_id()
    batch = [farm.submit(100, batch_id) for _ in range(10)]
    farm.work(100)
    assert list(dict.fromkeys(farm.claims)) == batch[:2]  # a long one makes way after 64
    single = farm.submit(1_000)
    farm.work(200)
    since = len(farm.claims)
    farm.work(100)
    assert 45 <= farm.claims[since:].count(single) <= 55


@pytest.mark.parametrize("capacity", [1, 256, 1_000])
def test_one_book_alone_keeps_every_worker_busy(ledger: Ledger, capacity: int) -> None:
    farm = Farm(ledger, capacity)
    farm.submit(3_000)
    farm.work(capacity + 50)
    assert farm.num_held == capacity
    assert farm.num_waiting >= max(15, capacity // 4 - 2)  # enough for the moment in which many end at once


def test_a_narration_that_was_cancelled_frees_its_turn_and_its_place(
    ledger: Ledger, redis_client: redis.Redis, settings: Settings
) -> None:
    farm = Farm(ledger, 4)
    gone, other = farm.submit(500), farm.submit(500)
    farm.work(50)
    ledger.cancel(gone)
    farm.work(100)
    assert set(farm.claims[-50:]) == {other}
    assert Places(redis_client, settings, gone).lane() == {}
    ledger.cancel(other)
    left = {key.decode().rpartition("lane:")[2] for key in redis_client.scan_iter(f"{settings.redis_prefix}lane:*")}
    assert left == {"normal:turns:count"}


def test_what_nobody_here_can_speak_does_not_keep_others_waiting(ledger: Ledger) -> None:
    farm = Farm(ledger, 4, engine_identity="here")
    blocked = farm.submit(1_000)
    assert ledger.claim(blocked, "0", WORKER, engine_identity="far away").is_granted
    other = farm.submit(20)
    farm.work(20)
    assert farm.claims == [other] * 20
