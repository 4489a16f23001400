"""Which take is kept, and how often the engine is asked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import pytest
from madeupvoice import RATE_HZ, speak, take_of

from producer.contract.narration import ModelName, Parameters
from worker.engine.request import SegmentRequest, Take, seeds_of
from worker.errors import DrainingError, EngineFaultError, NoEndOfSpeechError, SynthesisError
from worker.quality import Finding, Flag, Gate, Stage
from worker.quality.gate import retake_seed

TEXT = "The keeper of the lamp counted every stair, twice."
SEED = 11


def request_in(language: str = "en") -> SegmentRequest:
    return SegmentRequest(TEXT, language, ModelName.ENGLISH, None, Parameters(), SEED)


def take(pcm: np.ndarray, seed: int = SEED) -> Take:
    return Take(pcm.astype(np.float32), RATE_HZ, seed, 0.5, is_watermarked=False)


GOOD = take_of(TEXT, SEED)
SILENT = take(np.zeros(3 * RATE_HZ))
CUT = take(GOOD.pcm[: len(GOOD.pcm) * 2 // 3])


class Engine:
    """Answers with what it was given, in order, and notes the seeds."""

    def __init__(self, *outcomes: Take | Exception) -> None:
        self._outcomes = list(outcomes)
        self.seeds: list[int] = []

    def __call__(self, request: SegmentRequest) -> Take:
        self.seeds.append(request.seed)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return take(outcome.pcm, request.seed)


def stage(engine: Callable[[SegmentRequest], Take], *, wants_asr: bool = False, language: str = "en") -> Stage:
    return Stage(request_in(language), "fake/1", wants_asr, engine, lambda heard: heard.result(timeout=5))


def test_a_take_without_a_fault_is_kept_at_once():
    engine = Engine()
    choice = Gate(max_retakes=2).choose(stage(engine), GOOD)
    assert choice.take is GOOD
    assert (choice.record.flags, choice.record.score, choice.record.num_takes) == ((), 1.0, 1)
    assert engine.seeds == []


def test_a_failing_take_is_spoken_again_with_derived_seeds_until_one_is_good():
    engine = Engine(SILENT, take_of(TEXT, 5))
    choice = Gate(max_retakes=3).choose(stage(engine), CUT)
    assert engine.seeds == [retake_seed(SEED, 1), retake_seed(SEED, 2)]
    assert (choice.record.flags, choice.record.seed, choice.record.num_takes) == ((), retake_seed(SEED, 2), 3)
    assert choice.synthesis_s == 1.5  # all three are paid for


def test_the_best_take_is_kept_with_its_flags_when_none_is_good():
    engine = Engine(SILENT, SILENT)
    choice = Gate(max_retakes=2).choose(stage(engine), CUT)
    assert choice.take is CUT
    assert choice.record.flags[0] == "cut_off"
    assert 0 < choice.record.score < 1
    assert (choice.record.seed, choice.record.num_takes) == (SEED, 3)


def test_seeds_of_retakes_are_none_that_the_engine_tries_by_itself():
    request = request_in()
    retakes = [retake_seed(SEED, number) for number in range(1, 9)]
    assert len({*retakes, *seeds_of(request)}) == len(retakes) + len(seeds_of(request))


def test_nothing_is_spoken_again_when_that_is_switched_off():
    choice = Gate(max_retakes=0).choose(stage(Engine()), CUT)
    assert choice.record.num_takes == 1
    assert choice.record.flags


def test_takes_that_were_made_before_count():
    engine = Engine(GOOD)
    choice = Gate(max_retakes=2).choose(stage(engine), CUT, num_made=2)
    assert engine.seeds == [retake_seed(SEED, 2)]
    assert choice.record.num_takes == 3


def test_an_engine_whose_seed_changes_nothing_is_asked_once_and_never_again():
    gate = Gate(max_retakes=5)
    noise = np.random.default_rng(0).standard_normal(len(CUT.pcm)) * 1e-4
    engine = Engine(take(CUT.pcm + noise))
    assert gate.choose(stage(engine), CUT).record.num_takes == 2
    assert gate.choose(stage(engine), CUT).record.num_takes == 1
    assert len(engine.seeds) == 1


def test_a_retake_that_fails_is_one_take_less_to_choose_from():
    engine = Engine(NoEndOfSpeechError("it ran on"), SynthesisError("it broke"))
    choice = Gate(max_retakes=2).choose(stage(engine), CUT)
    assert choice.take is CUT
    assert choice.record.num_takes == 3


@pytest.mark.parametrize("error", [EngineFaultError("a CUDA fault"), DrainingError()])
def test_what_ends_the_process_comes_through(error):
    with pytest.raises(type(error)):
        Gate(max_retakes=2).choose(stage(Engine(error)), CUT)


class Hearing:
    """Hears a fault in every take but those with a good seed."""

    def __init__(self, good_seed_length: int | None = None) -> None:
        self._good_length = good_seed_length
        self.num_heard = 0

    def understands(self, language: str) -> bool:
        return language == "en"

    def close(self) -> None: ...

    def submit(self, pcm, rate_hz: int, *, text: str, language: str) -> Future[tuple[Finding, ...]]:
        self.num_heard += 1
        heard: Future[tuple[Finding, ...]] = Future()
        is_good = len(pcm) == self._good_length
        heard.set_result(() if is_good else (Finding(Flag.WORDS_MISSING, 0.5),))
        return heard


def test_what_is_heard_counts_as_what_is_measured():
    better = speak(TEXT, 5)
    hearing = Hearing(len(better))
    choice = Gate(max_retakes=2, hearing=hearing).choose(stage(Engine(take(better)), wants_asr=True), GOOD)
    assert choice.record.checks == ("signal", "asr")
    assert (choice.record.flags, choice.record.num_takes, hearing.num_heard) == ((), 2, 2)


@pytest.mark.parametrize(("wants_asr", "language"), [(False, "en"), (True, "de")])
def test_nobody_listens_who_was_not_asked_to_or_does_not_know_the_language(wants_asr, language):
    hearing = Hearing()
    gate = Gate(max_retakes=2, hearing=hearing)
    choice = gate.choose(stage(Engine(), wants_asr=wants_asr, language=language), GOOD)
    assert choice.record.checks == ("signal",)
    assert hearing.num_heard == 0
