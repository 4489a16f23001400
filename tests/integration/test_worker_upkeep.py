"""The threads that keep a worker's claims alive and find what got lost, on a real Redis."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from narrating import Farm, sentences
from processes import wait_for

from producer.contract.keys import RedisKeys
from producer.contract.narration import Narration
from producer.ledger import Ledger
from producer.messages import oldest_sent_ms, queue_list
from producer.workers import live_workers
from worker.engine.batching.gauges import Gauges
from worker.engine.protocol import EngineHealth
from worker.heartbeat import Heartbeat
from worker.narration.drain import Drain
from worker.narration.lease import Lease, LeaseBook
from worker.pulse import Pulse
from worker.reconciler import Reconciler

pytestmark = pytest.mark.integration

HEALTHY = EngineHealth(is_ready=True, num_in_flight=1, num_finished=2, stalled_s=0.0)


@pytest.fixture
def farm(settings) -> Farm:
    return Farm(settings)


@pytest.fixture
def keys(settings) -> RedisKeys:
    return RedisKeys(settings.redis_prefix)


@pytest.fixture
def make_heartbeat(farm, keys, tmp_path):
    started: list[Heartbeat] = []

    def make(
        book: LeaseBook, *, lease_s: float = 0.6, health: EngineHealth = HEALTHY, drain=None, **told: object
    ) -> Heartbeat:
        heartbeat = Heartbeat(
            ledger=Ledger(farm.redis, farm.settings, lease_s=lease_s),
            redis=farm.redis,
            keys=keys,
            unacked_index="unacked_index",
            book=book,
            drain=drain or Drain(60.0),
            health=lambda: health,
            pulse=Pulse(name="host:1", pid=1, role="all", engine="tone"),
            folder=tmp_path,
            slot="cpu",
            lease_s=lease_s,
            **{"on_broken": lambda: None, "on_overdue": lambda: None, **told},
        )
        started.append(heartbeat)
        heartbeat.start()
        return heartbeat

    yield make
    for heartbeat in started:
        heartbeat.stop()


def claimed(farm: Farm, lease_s: float) -> Lease:
    """Return the lease of a fresh narration's plan."""
    (narration_id,) = farm.submit(Narration(text="One."), is_sent=False)
    ledger = Ledger(farm.redis, farm.settings, lease_s=lease_s)
    claim = ledger.claim(narration_id, "plan", "host:1")
    assert claim.token is not None
    return Lease(narration_id, "plan", claim.token, claim.attempt, Drain(60.0))


def test_a_lease_outlives_its_time_when_the_heart_beats(farm, make_heartbeat):
    book, lease = LeaseBook(), claimed(farm, 0.6)
    with book.holding(lease):
        make_heartbeat(book)
        heads = {"narration.plan": None}
        ends_s = time.monotonic() + 2.0
        while time.monotonic() < ends_s:
            assert farm.ledger.reconcile(lease.narration_id, grace_s=0.0, heads=heads) == []
            time.sleep(0.05)
        assert not lease.is_lost
    # Without it the lease runs out.
    wait_for(lambda: farm.ledger.reconcile(lease.narration_id, grace_s=0.0, heads=heads) != [], "the lease is over")


def test_a_lease_is_known_to_be_lost_when_the_narration_was_cancelled(farm, make_heartbeat):
    book, lease = LeaseBook(), claimed(farm, 0.6)
    with book.holding(lease):
        make_heartbeat(book)
        farm.ledger.cancel(lease.narration_id)
        wait_for(lambda: lease.is_lost, "the lease is lost")


def test_a_message_in_work_is_not_delivered_again_and_one_that_is_done_stays_away(farm, make_heartbeat):
    farm.redis.zadd("unacked_index", {"in-work": 1.0, "other": 1.0})
    book = LeaseBook()
    with book.delivered("in-work"), book.delivered("acknowledged-meanwhile"):
        make_heartbeat(book)
        wait_for(lambda: farm.redis.zscore("unacked_index", "in-work") > 1.0, "renewed")
    assert farm.redis.zscore("unacked_index", "other") == 1.0
    assert farm.redis.zscore("unacked_index", "acknowledged-meanwhile") is None


def test_the_pulse_is_there_while_the_process_serves_and_gone_after_it(farm, keys, make_heartbeat, tmp_path):
    heartbeat = make_heartbeat(LeaseBook())
    wait_for((tmp_path / "cpu.json").exists, "a pulse")
    assert not Pulse.from_json((tmp_path / "cpu.json").read_bytes()).is_ready
    assert farm.redis.hgetall(keys.workers()) == {}
    heartbeat.serve()
    pulse = Pulse.from_json(farm.redis.hget(keys.workers(), "host:1"))
    assert (pulse.is_ready, pulse.pid, pulse.engine, pulse.num_in_flight) == (True, os.getpid(), "tone", 1)
    heartbeat.stop()
    assert not (tmp_path / "cpu.json").exists()
    assert farm.redis.hgetall(keys.workers()) == {}


def test_the_pulse_shows_what_the_engine_does(keys, farm, make_heartbeat):
    gauges = Gauges(128, 96, 40, 12, 9_800.0, 310.0, 40 * 2**30)
    make_heartbeat(LeaseBook(), health=replace(HEALTHY, gauges=gauges)).serve()
    (worker,) = live_workers(farm.redis, farm.settings)
    assert str(worker) == (
        "host:1: tone, role all, 96 of 128 slots, 40 queued, 12 rendering, 9800 tokens/s, "
        "310.0 s of audio per second, 40.0 GiB"
    )


def test_somebody_is_told_when_an_engine_is_broken_though_nobody_waits_for_it(make_heartbeat):
    told = []
    make_heartbeat(LeaseBook(), health=replace(HEALTHY, is_broken=True), on_broken=lambda: told.append(1))
    wait_for(lambda: bool(told), "told")


def test_somebody_is_told_when_a_drain_does_not_end(make_heartbeat, monkeypatch):
    monkeypatch.setattr("worker.heartbeat.OVERDUE_S", 0.2)
    drain, told = Drain(0.0), []
    make_heartbeat(LeaseBook(), drain=drain, on_overdue=lambda: told.append(1))
    drain.begin()
    wait_for(lambda: bool(told), "told")


def make_reconciler(farm: Farm, keys: RedisKeys, grace_s: float = 0.0) -> Reconciler:
    return Reconciler(
        ledger=farm.ledger,
        send=farm.messenger.send,
        heads=lambda: oldest_sent_ms(farm.redis, farm.settings),
        redis=farm.redis,
        keys=keys,
        grace_s=grace_s,
    )


def test_a_message_that_was_never_sent_is_sent_once(farm, keys, settings):
    farm.submit(*(Narration(text=f"Number {number}.") for number in range(3)), is_sent=False)
    reconciler = make_reconciler(farm, keys)
    assert reconciler.run_once() == 3
    assert farm.redis.llen(queue_list(settings, "narration.plan")) == 3
    assert reconciler.run_once() == 0


def test_nothing_is_sent_while_the_message_waits_in_its_queue(farm, keys):
    farm.submit(Narration(text="One."), Narration(text="Two."))
    assert make_reconciler(farm, keys).run_once() == 0


def test_nothing_is_sent_before_the_grace_is_over(farm, keys):
    farm.submit(Narration(text="One."), is_sent=False)
    assert make_reconciler(farm, keys, grace_s=60.0).run_once() == 0


def test_only_one_of_two_reconcilers_works_and_the_other_takes_over_with_a_pass_at_once(farm, keys):
    first, second = make_reconciler(farm, keys), make_reconciler(farm, keys)
    assert first.look() == 0
    farm.submit(Narration(text="One."), is_sent=False)
    assert second.look() == 0  # not its turn
    assert first.look() == 0  # the last pass was just now
    first._thread.start()
    first.stop()
    assert second.look() == 1


def test_another_takes_over_within_seconds_when_the_reconciler_dies(farm, keys):
    first, second = make_reconciler(farm, keys), make_reconciler(farm, keys)
    assert first.look() == 0
    left_ms = farm.redis.pttl(keys.reconciler_lock())
    assert 3_000 < left_ms <= 4_000
    farm.submit(Narration(text="One."), is_sent=False)
    assert second.look() == 0
    farm.redis.delete(keys.reconciler_lock())  # as it goes when its time is over
    assert second.look() == 1


def test_whoever_holds_the_lock_renews_it_more_often_than_it_makes_passes(farm, keys, monkeypatch):
    monkeypatch.setattr("worker.lock.BELIEVED_S", 0.0)
    reconciler = make_reconciler(farm, keys)
    reconciler.look()
    farm.redis.pexpire(keys.reconciler_lock(), 500)
    farm.submit(Narration(text="One."), is_sent=False)
    assert reconciler.look() == 0
    assert farm.redis.pttl(keys.reconciler_lock()) > 3_000


def test_every_narration_is_looked_after_when_there_are_more_than_fit_into_a_pass(farm, keys, monkeypatch):
    monkeypatch.setattr("worker.reconciler.PASS_S", 0.0)
    monkeypatch.setattr("worker.reconciler.BATCH_SIZE", 2)
    farm.submit(*(Narration(text=sentences(1), title=str(number)) for number in range(5)), is_sent=False)
    reconciler = make_reconciler(farm, keys)
    assert sum(reconciler.run_once() for _ in range(10)) == 5


def test_a_worker_that_was_killed_is_forgotten(farm, keys):
    farm.redis.hset(keys.workers(), "dead", Pulse(name="dead", pid=1, role="all", at_s=1.0).to_json())
    farm.redis.hset(keys.workers(), "alive", Pulse(name="alive", pid=1, role="all").to_json())
    farm.redis.hset(keys.workers(), "garbage", "{")
    make_reconciler(farm, keys).run_once()
    assert farm.redis.hkeys(keys.workers()) == [b"alive"]
