"""The small parts: futures, limits, rates, the division of time, and what exceptions mean."""

from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest
from batchingfakes import Behaviour, Bench, BrokenError, FakeClock, FakeDevice, FakeRenderer, FullError, segment

from worker.engine.batching.allowance import Allowance
from worker.engine.batching.failure import Cause, Failure
from worker.engine.batching.gauges import Gauges, Rate
from worker.engine.batching.settling import Outcome
from worker.engine.batching.stageclock import StageClock
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.batching.utterance import Utterance
from worker.engine.request import SegmentRequest, Take
from worker.errors import EngineFaultError, GpuMemoryError, SegmentUnspeakableError, SynthesisError, WorkerStartError

TAKE = Take(np.ones(4, np.float32), 100, 1, 0.0, is_watermarked=True)


def test_a_future_that_was_begun_cannot_be_cancelled_but_can_be_abandoned():
    future = TakeFuture()
    assert future.begin()
    assert future.begin()  # after a restart
    assert not future.cancel()
    assert future.is_wanted
    future.abandon()
    assert not future.is_wanted
    assert not future.begin()
    future.drop()
    with pytest.raises(CancelledError):
        future.result(0)


def test_whoever_wants_to_know_is_told_once_that_a_segment_is_begun():
    told: list[str] = []
    early, late, never = TakeFuture(), TakeFuture(), TakeFuture()
    early.tell_begun(lambda: told.append("early"))
    assert told == []
    early.begin()
    early.begin()  # after a restart
    late.begin()
    late.tell_begun(lambda: told.append("late"))
    never.tell_begun(lambda: told.append("never"))
    never.cancel()
    never.begin()
    assert told == ["early", "late"]


def test_a_future_that_was_not_begun_is_cancelled_when_it_is_abandoned():
    future = TakeFuture()
    future.abandon()
    assert future.cancelled()
    assert not future.begin()
    assert not future.end(TAKE)


def test_a_future_ends_once():
    future = TakeFuture()
    assert future.end(TAKE)
    assert not future.end(SynthesisError("late"))
    assert not future.begin()
    assert future.result(0) is TAKE


def test_an_allowance_halves_and_doubles_after_a_while():
    clock = FakeClock()
    allowance = Allowance("slots", 64, clock=clock, memory_s=60.0)
    allowance.shrink(64)
    assert allowance.limit == 32
    allowance.shrink(20)
    assert allowance.limit == 10
    clock.now_s += 59.0
    assert allowance.limit == 10
    clock.now_s += 1.0
    assert allowance.limit == 20
    clock.now_s += 600.0
    assert [allowance.limit, allowance.limit] == [40, 40]  # one doubling at a time, each to be tried
    allowance.restore()
    assert allowance.limit == 64
    for _ in range(10):
        allowance.shrink(1)
    assert allowance.limit == 1


def test_a_rate_is_taken_over_a_window_that_moves_along():
    clock = FakeClock()
    rate = Rate(clock, window_s=10.0)
    assert rate.per_s() == 0.0
    rate.add(30.0)
    clock.now_s += 5.0
    rate.add(20.0)
    rate.add(10.0)
    assert rate.per_s() == pytest.approx(6.0)
    clock.now_s += 6.0
    assert rate.per_s() == pytest.approx(3.0)
    clock.now_s += 6.0
    assert rate.per_s() == 0.0


def test_time_in_which_both_stages_work_is_shared():
    clock = FakeClock()
    stages = StageClock(clock)
    with stages.working("decode"):
        clock.now_s += 1.0
        with stages.working("render"):
            clock.now_s += 4.0
        clock.now_s += 2.0
    clock.now_s += 100.0  # idle
    assert stages.take("decode") == pytest.approx(1.0 + 2.0 + 2.0)
    assert stages.take("render") == pytest.approx(2.0)
    assert stages.take("render") == 0.0


def test_the_shares_of_all_takes_add_up_to_the_time_in_which_the_engine_was_busy():
    clock = FakeClock()
    busy = {"s": 0.0}

    def work(_: str) -> None:
        clock.now_s += 0.25
        busy["s"] += 0.25

    bench = Bench(renderer=FakeRenderer(on_call=work), clock=clock)
    bench.decoder.on_call = work
    settle, known = bench.loop.settling.settle, []

    def note(utterance: Utterance, outcome: Outcome) -> None:
        known.append(utterance.usage)  # the settling thread may be at once where the test is not
        settle(utterance, outcome)

    bench.loop.render_queue._settle = note
    futures = [bench.loop.submit(segment(name=number, num_tokens=number + 1)) for number in range(6)]
    bench.run()
    assert sorted(future.result(0).synthesis_s for future in futures) == sorted(usage.engine_s for usage in known)
    usages = [future.result(0).usage for future in futures]
    assert sum(usage.engine_s for usage in usages if usage) == pytest.approx(busy["s"])
    assert all(usage and usage.decode_s > 0.0 and usage.render_s > 0.0 for usage in usages)
    assert futures[5].result(0).synthesis_s > futures[0].result(0).synthesis_s


@pytest.mark.parametrize(
    ("raised", "cause", "error"),
    [
        (FullError(), Cause.MEMORY, GpuMemoryError),
        (BrokenError("CUDA error: illegal address"), Cause.DEVICE, EngineFaultError),
        (EngineFaultError("the GPU failed"), Cause.DEVICE, EngineFaultError),
        (SegmentUnspeakableError("too long"), Cause.OTHER, SegmentUnspeakableError),
        (KeyError("secret text"), Cause.OTHER, SynthesisError),
    ],
)
def test_what_an_exception_means(raised, cause, error):
    try:
        raise raised
    except Exception as caught:  # noqa: BLE001 - it is the subject
        failure = Failure.of(caught, FakeDevice())
    assert failure.cause is cause
    assert type(failure.error) is error
    assert "secret" not in str(failure.error)
    assert failure.error.__traceback__ is None  # its frames would keep tensors alive
    assert failure.error.__context__ is None


def test_gauges_of_two_engines_are_added_and_their_memory_is_not():
    one = Gauges(4, 2, 1, 1, 10.0, 2.0, 1_000)
    assert Gauges.total([one, one]) == Gauges(8, 4, 2, 2, 20.0, 4.0, 1_000)
    assert Gauges.total([]) is None


def test_gauges_show_where_the_segments_are():
    bench = Bench()
    for number in range(6):
        bench.loop.submit(segment(name=number, num_tokens=4 if number else 2))
    assert (bench.loop.gauges().num_queued, bench.loop.gauges().num_slots) == (6, 4)
    while bench.turn(0):
        pass
    bench.turn(1)  # four are admitted, and the first has ended
    gauges = bench.loop.gauges()
    assert (gauges.num_slots_used, gauges.num_queued, gauges.num_rendering) == (3, 2, 1)
    assert gauges.tokens_per_s == pytest.approx(4 * 2 / 10)
    assert gauges.used_bytes == 1_000
    bench.run()
    assert bench.loop.gauges().audio_s_per_s == pytest.approx((5 * 16 + 8) / 100 / 10)


def test_the_watchdog_counts_only_while_there_is_work_and_nothing_gets_on():
    bench = Bench()
    bench.clock.now_s += 50.0
    assert bench.loop.health().stalled_s == 0.0
    bench.loop.submit(segment(num_tokens=25))
    bench.turn(0)
    bench.clock.now_s += 30.0
    assert bench.loop.health().stalled_s == pytest.approx(30.0)
    bench.turn(1)  # admitted
    assert bench.loop.health().stalled_s == 0.0
    bench.clock.now_s += 20.0
    bench.turn(1)  # a launched step is no progress
    assert bench.loop.health().stalled_s == pytest.approx(20.0)
    bench.run()
    assert bench.loop.health().stalled_s == 0.0


def test_the_priority_is_no_part_of_what_a_segment_sounds_like():
    hashes = {segment(priority=priority).content_hash("engine") for priority in ("high", "low")}
    assert len(hashes) == 1
    assert SegmentRequest.__dataclass_fields__["priority"].default == "normal"


def test_nothing_is_taken_before_the_start():
    bench = Bench()
    bench.loop._in_flight.is_open = False
    with pytest.raises(WorkerStartError):
        bench.loop.submit(segment(Behaviour()))
