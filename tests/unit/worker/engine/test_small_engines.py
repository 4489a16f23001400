from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_conformance import EngineConformance, segment, speak

from producer.contract.narration import ModelName
from worker.engine.draft import DraftEngine
from worker.engine.fingerprint import decode_tones, tone_hash
from worker.engine.protocol import Engine
from worker.engine.request import VoiceReference
from worker.engine.tone import ToneEngine
from worker.errors import (
    DrainingError,
    LanguageUnsupportedError,
    SegmentUnspeakableError,
    VoiceUnsupportedError,
    WorkerStartError,
)

VOICE = VoiceReference("0" * 64, Path("/nowhere.wav"))


def ready(engine: Engine) -> Engine:
    engine.load()
    engine.warm_up()
    return engine


class TestToneEngine(EngineConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> Iterator[Engine]:
        engine = ready(ToneEngine())
        yield engine
        engine.close(5)

    def test_it_speaks_any_language_model_and_voice(self, engine: Engine) -> None:
        request = segment("你好。", language="zh", model=ModelName.MULTILINGUAL, voice=VOICE)
        take = speak(engine, request)
        assert decode_tones(take.pcm, take.sample_rate_hz) == [tone_hash("你好。")]

    def test_it_takes_the_time_it_is_told_to(self) -> None:
        paced = ready(ToneEngine(segment_s=0.05))
        assert speak(paced, segment()).synthesis_s >= 0.05
        paced.close(5)


class TestDraftEngine(EngineConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> Iterator[Engine]:
        engine = ready(DraftEngine(num_threads=2))
        yield engine
        engine.close(5)

    def test_threads_do_not_change_the_audio(self, engine: Engine) -> None:
        requests = [segment(f"Sentence number {number}.", seed=number) for number in range(8)]
        together = [future.result(30).pcm for future in [engine.submit(request) for request in requests]]
        alone = [speak(engine, request).pcm for request in requests]
        assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))

    def test_another_seed_is_another_take(self, engine: Engine) -> None:
        assert not np.array_equal(speak(engine, segment(seed=1)).pcm, speak(engine, segment(seed=2)).pcm)

    def test_another_language_is_refused_at_once(self, engine: Engine) -> None:
        with pytest.raises(LanguageUnsupportedError, match="English only"):
            engine.submit(segment("Guten Tag.", language="de"))

    def test_another_voice_is_refused_at_once(self, engine: Engine) -> None:
        with pytest.raises(VoiceUnsupportedError, match="one voice of its own"):
            engine.submit(segment(voice=VOICE))

    @pytest.mark.parametrize("text", ["你好", "***", "\N{SMILING FACE WITH SUNGLASSES}"])
    def test_a_text_without_sounds_is_an_error_and_no_silence(self, engine: Engine, text: str) -> None:
        with pytest.raises(SegmentUnspeakableError) as caught:
            speak(engine, segment(text))
        assert not caught.value.is_retryable
        assert text not in str(caught.value)

    def test_a_voice_that_cannot_be_loaded_stops_the_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*arguments: object, **options: object) -> None:
            raise OSError("model.onnx is not there")

        monkeypatch.setattr("hibari.Hibari", broken)
        with pytest.raises(WorkerStartError, match=r"model\.onnx"):
            DraftEngine().load()


@pytest.mark.parametrize("make", [ToneEngine, DraftEngine])
def test_a_closed_engine_takes_nothing_more(make: type[ToneEngine | DraftEngine]) -> None:
    engine = ready(make())
    engine.close(5)
    with pytest.raises(DrainingError):
        engine.submit(segment())


@pytest.mark.parametrize("make", [ToneEngine, DraftEngine])
def test_an_engine_that_is_not_loaded_takes_nothing(make: type[ToneEngine | DraftEngine]) -> None:
    engine = make()
    assert not engine.health().is_ready
    with pytest.raises(WorkerStartError):
        engine.submit(segment())
    engine.close(0)
