"""Who is admitted when, and what is rendered together."""

from __future__ import annotations

import pytest
from batchingfakes import Behaviour, Bench, FakeDecoder, FakePrompt, FakeRenderer, FakeScript, segment
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.routing import Priority
from worker.engine.batching.decodepolicy import DecodePolicy
from worker.engine.batching.renderqueue import Pending, patience_s, within
from worker.engine.batching.scheduler import Patience, Scheduler
from worker.engine.batching.utterance import Utterance


def waiting(number: int, priority: Priority = Priority.NORMAL, **fields: object) -> Utterance:
    request = segment(Behaviour(name=number), priority=priority, **fields)
    return Utterance(request, number, script=FakeScript(request))


def admitted(bench: Bench) -> list[int]:
    return [prompt.behaviour.name for batch in bench.decoder.batches for prompt in batch]


def rendered(bench: Bench) -> list[list[int]]:
    return [[speech.behaviour.name for speech in batch] for batch in bench.renderer.batches]


@given(priorities=st.lists(st.sampled_from(list(Priority)), min_size=1, max_size=30), num_slots=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_the_higher_lane_comes_first_and_in_it_the_oldest(priorities, num_slots):
    bench = Bench(FakeDecoder(num_slots=num_slots))
    for number, priority in enumerate(priorities):
        bench.loop.submit(segment(Behaviour(name=number), priority=priority))
    while bench.turn(0):  # all are prepared before the first is admitted
        pass
    bench.run()
    lanes = [Priority.HIGH, Priority.NORMAL, Priority.LOW]
    assert admitted(bench) == sorted(
        range(len(priorities)), key=lambda number: (lanes.index(priorities[number]), number)
    )


def test_one_that_needs_two_rows_is_not_overtaken_by_those_that_need_one():
    scheduler = Scheduler()
    for number, num_rows in enumerate([1, 2, 1, 1]):
        scheduler.add(waiting(number, num_rows=num_rows))

    def has_two_rows(prompts: list[FakePrompt]) -> bool:
        return sum(prompt.behaviour.num_rows for prompt in prompts) <= 2

    first = scheduler.next_in(has_two_rows, most=8)
    assert [utterance.number for utterance, _ in first] == [0]
    assert [utterance.number for utterance in scheduler.take(1)] == [0]
    first = scheduler.next_in(has_two_rows, most=8)
    assert [utterance.number for utterance, _ in first] == [1]


def test_an_utterance_that_is_spoken_again_keeps_its_place():
    scheduler = Scheduler()
    for number in (3, 4):
        scheduler.add(waiting(number))
    again = waiting(2)
    assert again.take_next_seed()
    scheduler.add(again)
    assert [utterance.number for utterance in scheduler.take(3)] == [2, 3, 4]


def test_one_that_was_cancelled_is_not_prepared():
    bench = Bench()
    futures = [bench.loop.submit(segment(name=number)) for number in range(3)]
    assert futures[1].cancel()
    bench.run()
    assert bench.preparation.prepared == admitted(bench) == [0, 2]


def test_a_lone_segment_is_admitted_and_rendered_at_once():
    bench = Bench()
    future = bench.loop.submit(segment(num_tokens=2))
    for stage in range(4):  # one turn each; no time passes
        bench.turn(stage)
    assert future.done()


def test_those_who_come_while_others_speak_are_admitted_together_once_they_are_enough():
    patience = Patience(enough=3, longest_s=1.0)
    bench = Bench(FakeDecoder(num_slots=8), policy=DecodePolicy(steps_per_turn=1, patience=patience))
    bench.loop.submit(segment(num_tokens=25, name=0))
    bench.turn(0)
    bench.turn(1)
    for number in (1, 2, 3):
        assert admitted(bench) == [0]
        bench.loop.submit(segment(name=number))
        bench.turn(0)
        bench.turn(1)
    assert [[prompt.behaviour.name for prompt in batch] for batch in bench.decoder.batches] == [[0], [1, 2, 3]]


def test_one_who_comes_while_others_speak_waits_no_longer_than_the_patience():
    patience = Patience(enough=3, longest_s=1.0)
    bench = Bench(FakeDecoder(num_slots=8), policy=DecodePolicy(steps_per_turn=1, patience=patience))
    bench.loop.submit(segment(num_tokens=25, name=0))
    bench.turn(0)
    bench.turn(1)
    bench.loop.submit(segment(name=1))
    bench.turn(0)
    bench.turn(1)
    bench.clock.now_s += 0.9
    bench.turn(1)
    assert admitted(bench) == [0]
    bench.clock.now_s += 0.1
    bench.turn(1)
    assert admitted(bench) == [0, 1]


def test_speeches_wait_for_each_other_while_more_are_to_come_and_not_when_they_fill_a_batch():
    bench = Bench(FakeDecoder(num_slots=8), FakeRenderer(max_frames_per_batch=24), DecodePolicy(steps_per_turn=1))
    for number, num_tokens in enumerate([2, 3, 6, 25]):
        bench.loop.submit(segment(name=number, num_tokens=num_tokens))
    while bench.turn(0):
        pass
    for _ in range(3):
        bench.turn(1)
    assert bench.stages[2].turn() == pytest.approx(0.1)  # the first two make 10 frames of 24: it waits
    assert bench.renderer.batches == []
    for _ in range(3):
        bench.turn(1)
    bench.turn(2)  # with the third they make 22, and it has waited no time at all
    assert bench.renderer.batches == []
    bench.clock.now_s += 0.11
    bench.turn(2)
    assert rendered(bench) == [[0, 1, 2]]


@pytest.mark.parametrize(("num_slots", "seconds"), [(1, 0.1), (16, 0.1), (128, 0.77)])
def test_a_large_engine_waits_longer_for_a_batch(num_slots, seconds):
    assert patience_s(num_slots) == pytest.approx(seconds, abs=0.01)


def test_speeches_that_fill_a_batch_do_not_wait():
    bench = Bench(FakeDecoder(num_slots=8), FakeRenderer(max_frames_per_batch=24), DecodePolicy(steps_per_turn=3))
    for number, num_tokens in enumerate([3, 3, 3, 3, 3, 25]):
        bench.loop.submit(segment(name=number, num_tokens=num_tokens))
    while bench.turn(0):
        pass
    bench.turn(1)
    bench.turn(2)  # 30 frames: the first four make a batch, and the fifth waits
    bench.turn(2)
    assert rendered(bench) == [[0, 1, 2, 3]]


def test_speeches_are_rendered_in_the_order_of_the_segments_and_not_of_their_ends():
    bench = Bench(FakeDecoder(num_slots=8), FakeRenderer(max_frames_per_batch=10), DecodePolicy(steps_per_turn=1))
    for number, num_tokens in enumerate([5, 4, 3]):
        bench.loop.submit(segment(name=number, num_tokens=num_tokens))
    while bench.turn(0):
        pass
    for _ in range(5):
        bench.turn(1)
    bench.run()
    assert rendered(bench) == [[0], [1], [2]]


@pytest.mark.parametrize(("num_slots", "enough"), [(1, 1), (8, 1), (16, 1), (32, 2), (128, 8)])
def test_a_small_engine_admits_at_once_and_a_large_one_by_the_handful(num_slots, enough):
    assert DecodePolicy.for_slots(num_slots).patience.enough == enough


def test_a_suspect_waits_until_all_others_have_ended_and_nobody_begins_beside_it():
    bench = Bench(FakeDecoder(num_slots=8), policy=DecodePolicy(steps_per_turn=1))
    futures = [bench.loop.submit(segment(name=number, is_suspect=number == 1)) for number in range(4)]
    while bench.turn(0):
        pass
    bench.turn(1)
    assert admitted(bench) == [0]
    for _ in range(6):
        bench.turn(1)
    assert admitted(bench) == [0]  # its speech has ended and has not been rendered
    assert bench.stages[1].turn() == pytest.approx(0.02)  # so it looks again soon, and not at once
    bench.run()
    assert admitted(bench) == [0, 1, 2, 3]
    assert [len(batch) for batch in bench.decoder.batches] == [1, 1, 2]
    assert all(future.done() for future in futures)


@given(frames=st.lists(st.integers(1, 50), min_size=1, max_size=12), max_frames=st.integers(1, 100))
def test_a_batch_is_the_longest_beginning_that_fits_and_never_empty(frames, max_frames):
    pending = [Pending(waiting(number), None, num_frames, 0.0) for number, num_frames in enumerate(frames)]
    batch = within(pending, max_frames)
    assert batch == pending[: len(batch)]
    assert len(batch) == 1 or sum(entry.num_frames for entry in batch) <= max_frames
    assert len(batch) == len(pending) or sum(frames[: len(batch) + 1]) > max_frames


def test_the_limit_that_memory_has_set_is_kept_and_forgotten_after_a_while():
    bench = Bench(FakeDecoder(num_slots=8, most_live=3))

    def sizes_of_eight() -> list[int]:
        del bench.decoder.batches[:]
        for number in range(8):
            bench.loop.submit(segment(name=number, num_tokens=2))
        while bench.turn(0):
            pass
        bench.run()
        return [len(batch) for batch in bench.decoder.batches]

    assert sizes_of_eight() == [8, 4, 2, 2, 2, 2]  # 8 fail, 4 fail, and from then on there are two at a time
    assert sizes_of_eight() == [2, 2, 2, 2]
    bench.decoder.most_live = 8  # memory is free again
    bench.clock.now_s += 60.0
    assert sizes_of_eight() == [4, 4]
    bench.clock.now_s += 60.0
    assert sizes_of_eight() == [8]
