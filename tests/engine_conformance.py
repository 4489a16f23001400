"""What every engine must do: the same tests for the test engine and for the real ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from producer.contract.narration import ModelName, Parameters
from worker.engine.protocol import Engine
from worker.engine.request import SegmentRequest, Take

DEADLINE_S = 120.0


def segment(text: str = "Hello there.", **fields: object) -> SegmentRequest:
    """Return a segment in English; `fields` replace its fields."""
    return replace(SegmentRequest(text, "en", ModelName.ENGLISH, None, Parameters(), seed=1), **fields)  # type: ignore[arg-type]


def speak(engine: Engine, request: SegmentRequest) -> Take:
    """Return the take of one segment."""
    return engine.submit(request).result(DEADLINE_S)


class EngineConformance:
    """Subclasses give a fixture `engine`: loaded, warmed up, and idle."""

    @pytest.fixture(scope="class")
    @classmethod
    def take(cls, engine: Engine) -> Take:
        return speak(engine, segment())

    def test_a_take_is_what_the_engine_says_it_is(self, engine: Engine, take: Take) -> None:
        assert take.sample_rate_hz == engine.sample_rate_hz
        assert take.is_watermarked == engine.is_watermarked
        assert take.seed == 1
        assert take.synthesis_s >= 0.0
        assert take.pcm.dtype == np.float32
        assert take.pcm.ndim == 1
        assert 0.0 < np.abs(take.pcm).max() <= 1.0
        assert len(take.pcm) > 0.2 * take.sample_rate_hz

    def test_equal_requests_give_equal_audio_whatever_was_spoken_between(self, engine: Engine, take: Take) -> None:
        other = speak(engine, segment("Goodbye."))
        assert not np.array_equal(other.pcm, take.pcm)
        assert np.array_equal(speak(engine, segment()).pcm, take.pcm)

    def test_everything_that_is_submitted_at_once_is_spoken_except_what_is_cancelled(self, engine: Engine) -> None:
        num_finished = engine.health().num_finished
        futures = [engine.submit(segment("Hi.", seed=number)) for number in range(engine.num_slots + 2)]
        cancelled = [future for future in futures if future.cancel()]
        spoken = [future for future in futures if future not in cancelled]
        assert [future.result(DEADLINE_S).seed for future in spoken] == [futures.index(future) for future in spoken]
        assert engine.health().num_finished == num_finished + len(spoken)

    def test_an_idle_engine_is_ready_and_not_stalled(self, engine: Engine) -> None:
        health = engine.health()
        assert health.is_ready
        assert health.num_in_flight == 0
        assert health.stalled_s == 0.0

    def test_the_identity_is_one_short_word_that_stays(self, engine: Engine) -> None:
        identity = engine.identity(ModelName.ENGLISH)
        assert identity == engine.identity(ModelName.ENGLISH)
        assert identity.startswith(engine.name.value)
        assert not set(identity) & set(" \n\"'")
        assert len(identity) < 100
