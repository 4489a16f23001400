"""Whatever happens to a mix of segments, each future ends once, and a healthy segment sounds as if it were alone."""

from __future__ import annotations

import itertools
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace

import numpy as np
from batchingfakes import Behaviour, Bench, BrokenError, FakeDecoder, FakeRenderer, segment, sound_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.contract.errors import ChatterqueueError
from producer.contract.routing import Priority
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.request import MAX_SEEDS, Take, seeds_of
from worker.errors import (
    DrainingError,
    EngineFaultError,
    GpuMemoryError,
    NoEndOfSpeechError,
    NoSpeechError,
    SegmentUnspeakableError,
    SynthesisError,
)

#: What each poison does to the segment that carries it.
POISONS = {
    "prepare": SegmentUnspeakableError,
    "crash": SynthesisError,
    "fits": SegmentUnspeakableError,
    "admit": SynthesisError,
    "step": SynthesisError,
    "render": SynthesisError,
    "bad": SynthesisError,
    "nan": SynthesisError,
}

#: Takes that fail before one is good: endless, silent, and those whose logits are not finite.
FAILURES = [failures for failures in itertools.product(range(MAX_SEEDS), repeat=3) if sum(failures) < MAX_SEEDS]
healthy = st.builds(
    lambda failures, **fields: Behaviour(
        num_endless=failures[0], num_silent=failures[1], num_broken=failures[2], **fields
    ),
    st.sampled_from(FAILURES),
    num_tokens=st.integers(1, 12),
    num_rows=st.sampled_from([1, 2]),
    is_suspect=st.sampled_from([False, False, False, True]),
)
sick = st.one_of(
    st.builds(
        Behaviour,
        poison=st.sampled_from(sorted(POISONS)),
        num_rows=st.sampled_from([1, 2]),
        is_suspect=st.booleans(),
    ),
    st.just(Behaviour(num_endless=MAX_SEEDS)),
    st.just(Behaviour(num_silent=MAX_SEEDS)),
    st.just(Behaviour(num_broken=MAX_SEEDS)),
)
mixes = st.lists(st.tuples(st.one_of(healthy, healthy, sick), st.sampled_from(list(Priority))), min_size=1, max_size=14)

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Spoken:
    """A submitted segment and how often its future ended."""

    behaviour: Behaviour
    future: Future[Take]
    num_ends: int = 0

    def outcome(self) -> Take | BaseException:
        assert self.num_ends == 1
        assert self.future.done()
        if self.future.cancelled():
            return CancelledError()
        return self.future.exception() or self.future.result()


def submit(bench: Bench, behaviour: Behaviour, priority: Priority, number: int) -> Spoken:
    behaviour = replace(behaviour, name=number)
    spoken = Spoken(behaviour, bench.loop.submit(segment(behaviour, priority=priority)))

    def count(_: Future[Take]) -> None:
        spoken.num_ends += 1

    spoken.future.add_done_callback(count)
    return spoken


def assert_sounds_alone(spoken: Spoken, take: Take) -> None:
    behaviour = spoken.behaviour
    seed = seeds_of(segment(behaviour))[behaviour.num_endless + behaviour.num_silent + behaviour.num_broken]
    assert take.seed == seed
    assert np.array_equal(take.pcm, sound_of(behaviour, seed))


def assert_as_if_alone(spoken: Spoken) -> None:
    """A healthy segment is spoken with the seed and the sound it has alone; a sick one ends with its own error."""
    outcome, behaviour = spoken.outcome(), spoken.behaviour
    if behaviour.poison:
        assert type(outcome) is POISONS[behaviour.poison]
    elif behaviour.num_broken == MAX_SEEDS:
        assert type(outcome) is SynthesisError
    elif behaviour.num_endless == MAX_SEEDS:
        assert isinstance(outcome, NoEndOfSpeechError)
    elif behaviour.num_silent == MAX_SEEDS:
        assert isinstance(outcome, NoSpeechError)
    else:
        assert isinstance(outcome, Take), outcome
        assert_sounds_alone(spoken, outcome)


def assert_clean(bench: Bench) -> None:
    """Nothing is left behind: no slot, no waiting, nobody in flight."""
    assert bench.decoder.live == {}
    gauges = bench.loop.gauges()
    assert (gauges.num_slots_used, gauges.num_queued, gauges.num_rendering) == (0, 0, 0)
    assert bench.loop.health().num_in_flight == 0


@given(mix=mixes, turns=st.lists(st.integers(0, 3), max_size=40), num_slots=st.integers(1, 5))
@many
def test_neighbours_of_the_sick_are_spoken_as_if_alone(mix, turns, num_slots):
    bench = Bench(FakeDecoder(num_slots=num_slots))
    spoken = [submit(bench, behaviour, priority, number) for number, (behaviour, priority) in enumerate(mix)]
    for turn in turns:
        bench.turn(turn)
    bench.run()
    for one in spoken:
        assert_as_if_alone(one)
    assert_clean(bench)


@given(
    mix=mixes,
    most_prompts=st.integers(1, 4),
    most_live=st.integers(1, 6),
    most_frames=st.integers(24, 80),
)
@many
def test_a_small_memory_makes_batches_smaller_and_changes_no_sound(mix, most_prompts, most_live, most_frames):
    bench = Bench(FakeDecoder(most_prompts=most_prompts, most_live=most_live), FakeRenderer(most_frames=most_frames))
    spoken = [submit(bench, behaviour, priority, number) for number, (behaviour, priority) in enumerate(mix)]
    bench.run()
    for one in spoken:
        assert_as_if_alone(one)
    assert_clean(bench)


@given(
    mix=mixes, acts=st.lists(st.tuples(st.sampled_from(["cancel", "abandon", "turn"]), st.integers(0, 13)), max_size=60)
)
@many
def test_who_is_given_up_frees_its_place_and_the_others_go_on(mix, acts):
    bench = Bench()
    spoken = [submit(bench, behaviour, priority, number) for number, (behaviour, priority) in enumerate(mix)]
    given_up: set[int] = set()
    for act, number in acts:
        if act == "turn":
            bench.turn(number % 4)
            continue
        number %= len(spoken)
        future = spoken[number].future
        assert isinstance(future, TakeFuture)
        if act == "abandon":
            given_up.add(number)
            future.abandon()
        elif future.cancel():
            given_up.add(number)
    bench.run()
    for number, one in enumerate(spoken):
        outcome = one.outcome()
        # One that had its end already keeps it.
        if number not in given_up or not isinstance(outcome, CancelledError):
            assert_as_if_alone(one)
    assert_clean(bench)


@given(
    mix=mixes,
    faulty_call=st.integers(1, 12),
    where=st.sampled_from(["admit", "step", "render"]),
    turns=st.lists(st.integers(0, 3), max_size=30),
)
@many
def test_after_a_device_fault_every_future_has_its_end_and_none_is_final(mix, faulty_call, where, turns):
    calls = {"num": 0}

    def fault(call: str) -> None:
        calls["num"] += call == where
        if call == where and calls["num"] >= faulty_call:
            raise BrokenError("CUDA error: device-side assert triggered\nadvice")

    bench = Bench(FakeDecoder(on_call=fault), FakeRenderer(on_call=fault))
    spoken = [submit(bench, behaviour, priority, number) for number, (behaviour, priority) in enumerate(mix)]
    for turn in turns:
        bench.turn(turn)
    bench.run()
    for one in spoken:
        outcome = one.outcome()
        if isinstance(outcome, EngineFaultError):
            assert bench.is_broken
            assert outcome.is_retryable
            assert str(outcome) == "the GPU failed: CUDA error: device-side assert triggered"
        else:
            assert_as_if_alone(one)
    assert bench.loop.health().is_broken == bench.is_broken
    assert bench.loop.health().num_in_flight == 0


@given(mix=mixes, turns=st.lists(st.integers(0, 3), max_size=60))
@many
def test_closing_ends_every_future(mix, turns):
    bench = Bench()
    spoken = [submit(bench, behaviour, priority, number) for number, (behaviour, priority) in enumerate(mix)]
    for turn in turns:
        bench.turn(turn)
    bench.loop.close(timeout_s=0.0)
    for one in spoken:
        if not isinstance(one.outcome(), DrainingError):
            assert_as_if_alone(one)
    bench.run()  # whatever turn was under way finds its futures ended, and nothing breaks
    assert not bench.is_broken
    assert_clean(bench)


def test_a_segment_that_does_not_fit_into_memory_alone_fails_as_retryable():
    for decoder, renderer in (
        (FakeDecoder(most_prompts=0), FakeRenderer()),
        (FakeDecoder(most_live=0), FakeRenderer()),
        (FakeDecoder(), FakeRenderer(most_frames=0)),
    ):
        bench = Bench(decoder, renderer)
        spoken = [submit(bench, Behaviour(), Priority.NORMAL, number) for number in range(3)]
        bench.run()
        for one in spoken:
            outcome = one.outcome()
            assert isinstance(outcome, GpuMemoryError)
            assert isinstance(outcome, ChatterqueueError)
            assert outcome.is_retryable
        assert bench.device.num_releases > 0
        assert_clean(bench)
