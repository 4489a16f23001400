"""The batching engine with its real decoder and renderer, on a small checkpoint and a CPU."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_conformance import segment
from small_checkpoint import ENGLISH, cached_checkpoint
from speechlike import speechlike_wav

from producer.contract.narration import Parameters
from producer.contract.routing import Priority
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.chatterbox import ChatterboxEngine
from worker.engine.request import SegmentRequest, Take, VoiceReference
from worker.errors import DrainingError, SynthesisError

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn at every turn

DEADLINE_S = 240.0

REQUESTS = [
    segment("Hi.", seed=1),
    segment("Hello there.", seed=2),
    segment("No guidance.", seed=3, parameters=Parameters(cfg_weight=0.0)),
    segment("Oh!", seed=4, parameters=Parameters(exaggeration=1.0, temperature=0.6, top_p=0.9)),
    segment("Well, well.", seed=5),
]


def started(num_slots: int, cache_dir: Path) -> ChatterboxEngine:
    engine = ChatterboxEngine(cached_checkpoint(ENGLISH), cache_dir=cache_dir, device="cpu", max_slots=num_slots)
    engine.load()
    engine.warm_up()
    return engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatterboxEngine]:
    engine = started(2, tmp_path_factory.mktemp("cache"))
    yield engine
    engine.close(1)


@pytest.fixture(scope="module")
def alone(engine: ChatterboxEngine) -> list[Take]:
    """Each request spoken with nothing beside it."""
    return [engine.submit(request).result(DEADLINE_S) for request in REQUESTS]


def assert_same(take: Take, other: Take) -> None:
    assert take.seed == other.seed
    assert len(take.pcm) == len(other.pcm)
    # Matrix products of another height round otherwise.
    np.testing.assert_allclose(take.pcm, other.pcm, atol=2e-4)


def test_takes_are_equal_alone_and_in_any_company(engine: ChatterboxEngine, alone: list[Take]) -> None:
    for order in (range(5), reversed(range(5))):
        numbers = list(order)
        futures = [engine.submit(REQUESTS[number]) for number in numbers]
        for number, future in zip(numbers, futures, strict=True):
            assert_same(future.result(DEADLINE_S), alone[number])


def test_two_voices_speak_side_by_side_and_the_same_again_from_disk(
    engine: ChatterboxEngine, alone: list[Take], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears another's voice, and what is kept of a voice on disk gives the same samples, to the bit."""
    voices = []
    for pitch_hz in (110.0, 220.0):
        audio = speechlike_wav(1.5, rate_hz=24_000, pitch_hz=pitch_hz)
        sha256 = hashlib.sha256(audio).hexdigest()
        (tmp_path / f"{sha256}.wav").write_bytes(audio)
        voices.append(VoiceReference(sha256, tmp_path / f"{sha256}.wav"))

    def spoken() -> list[Take]:
        requests = [replace(REQUESTS[0], voice=voice) for voice in (voices[0], None, voices[1])]
        return [engine.submit(request).result(DEADLINE_S) for request in requests]

    low, own, high = spoken()
    assert_same(own, alone[0])
    assert len({take.pcm.tobytes() for take in (low, own, high)}) == 3

    (speaker,) = engine._speakers.values()
    kept = speaker.loop.preparing._preparation._voices
    made = {voice.sha256: kept.get(voice) for voice in voices}
    kept._voices.clear()  # as after a start
    monkeypatch.setattr(speaker.model, "prepare_voice", None)
    for voice in voices:
        assert_equal_voices(kept.get(voice), made[voice.sha256])
    for take, before in zip(spoken(), (low, own, high), strict=True):
        np.testing.assert_array_equal(take.pcm, before.pcm)


def assert_equal_voices(restored: Any, made: Any) -> None:
    assert type(restored) is type(made)
    assert vars(restored.t3).keys() == vars(made.t3).keys()
    assert restored.gen.keys() == made.gen.keys()
    for found, expected in [
        *((vars(restored.t3)[name], value) for name, value in vars(made.t3).items()),
        *((restored.gen[name], value) for name, value in made.gen.items()),
    ]:
        if expected is None:
            assert found is None
        else:
            assert (found.dtype, found.device) == (expected.dtype, expected.device)
            assert found.equal(expected)


def test_a_take_says_what_it_has_cost(alone: list[Take]) -> None:
    for take in alone:
        assert take.usage is not None
        assert take.usage.decode_s > 0.0
        assert take.usage.render_s > 0.0
        assert take.synthesis_s == take.usage.engine_s


def test_one_that_is_given_up_while_it_is_spoken_leaves_the_others_as_they_are(
    engine: ChatterboxEngine, alone: list[Take]
) -> None:
    futures = [engine.submit(request) for request in (REQUESTS[1], REQUESTS[0])]
    given_up = engine.submit(replace(REQUESTS[4], seed=6, priority=Priority.HIGH))
    assert isinstance(given_up, TakeFuture)
    given_up.abandon()
    with pytest.raises(CancelledError):
        given_up.result(DEADLINE_S)
    assert_same(futures[0].result(DEADLINE_S), alone[1])
    assert_same(futures[1].result(DEADLINE_S), alone[0])
    gauges = engine.health().gauges
    assert gauges is not None
    assert (gauges.num_slots_used, gauges.num_rendering, engine.health().num_in_flight) == (0, 0, 0)


def test_one_that_cannot_be_spoken_leaves_the_others_as_they_are(engine: ChatterboxEngine, alone: list[Take]) -> None:
    too_long = engine.submit(segment("secret " * 400))
    unusable = engine.submit(segment("Hello.", parameters=Parameters.model_construct(temperature=float("nan"))))
    sound = engine.submit(REQUESTS[0])
    for future in (too_long, unusable):
        error = future.exception(DEADLINE_S)
        assert isinstance(error, SynthesisError)
        assert "secret" not in str(error)
    assert_same(sound.result(DEADLINE_S), alone[0])


def test_memory_that_runs_out_changes_no_take(
    engine: ChatterboxEngine, alone: list[Take], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    speaker = next(iter(engine._speakers.values()))
    decoder, (renderer,) = speaker._decoder, speaker._renderers
    step, render = decoder.step, renderer.render
    preparation = speaker.loop.preparing._preparation
    prepare, prepared, are_ready = preparation.prepare, [], threading.Event()
    full: list[str] = []

    def note(request: SegmentRequest) -> object:
        prepared.append(request)
        if len(prepared) == len(REQUESTS):
            are_ready.set()
        return prepare(request)

    def step_where_two_do_not_fit(num_steps: int = 1) -> None:
        assert are_ready.wait(DEADLINE_S)  # so that the second slot is taken while the first speaks
        step(num_steps)  # what it leaves behind must not matter
        if decoder.num_live > 1:
            full.append("step")
            raise torch.OutOfMemoryError("CUDA out of memory")

    def render_where_two_do_not_fit(speeches):
        if len(speeches) > 1:
            full.append("render")
            raise torch.OutOfMemoryError("CUDA out of memory")
        return render(speeches)

    monkeypatch.setattr(preparation, "prepare", note)
    monkeypatch.setattr(decoder, "step", step_where_two_do_not_fit)
    monkeypatch.setattr(renderer, "render", render_where_two_do_not_fit)
    futures = [engine.submit(request) for request in REQUESTS]
    for future, take in zip(futures, alone, strict=True):
        assert_same(future.result(DEADLINE_S), take)
    assert "step" in full


def test_a_drain_finishes_what_is_spoken_and_gives_the_rest_back(
    tmp_path: Path, alone: list[Take], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = started(1, tmp_path)
    decoder = next(iter(engine._speakers.values()))._decoder
    begun, step = threading.Event(), decoder.step

    def note(num_steps: int = 1) -> None:
        begun.set()
        step(num_steps)

    monkeypatch.setattr(decoder, "step", note)
    futures = [engine.submit(request) for request in REQUESTS[:3]]
    assert begun.wait(DEADLINE_S)
    engine.close(DEADLINE_S)
    assert_same(futures[0].result(0), alone[0])
    for future in futures[1:]:
        with pytest.raises(DrainingError):
            future.result(0)
    with pytest.raises(DrainingError):
        engine.submit(SegmentRequest("Hi.", "en", REQUESTS[0].model, None, Parameters(), seed=1))
    assert not engine.health().is_ready
