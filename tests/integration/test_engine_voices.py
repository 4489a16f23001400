"""The cache of voices, and the seeds that a segment is tried with, with small stand-ins for the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253
from engine_conformance import segment

from producer.contract.narration import ModelName
from worker.engine.request import SegmentRequest, VoiceReference
from worker.errors import (
    NoEndOfSpeechError,
    NoSpeechError,
    SegmentUnspeakableError,
    SynthesisError,
    VoiceUnsupportedError,
)

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn while they import


class FakeModel:
    """Makes voices out of files' names."""

    conds = "its own"

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.error: Exception | None = None

    def prepare_voice(self, path: Path) -> str:
        if self.error:
            raise self.error
        self.prepared.append(path.stem)
        return f"voice {path.stem}"


def voice(tmp_path: Path, number: int) -> VoiceReference:
    path = tmp_path / f"{number}.wav"
    path.touch()
    return VoiceReference(f"{number:064x}", path)


def test_the_voice_that_was_not_used_for_longest_is_forgotten(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    voices = VoiceConditionals(model, max_voices=2)
    for number in (1, 2, 1, 3, 1, 2):
        assert voices.get(voice(tmp_path, number)) == f"voice {number}"
    assert model.prepared == ["1", "2", "3", "2"]


def test_the_models_own_voice_is_always_there(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    voices = VoiceConditionals(FakeModel(), max_voices=1)
    for reference, expected in ((None, "its own"), (voice(tmp_path, 1), "voice 1"), (None, "its own")):
        assert voices.get(reference) == expected


def test_reference_audio_that_is_gone_may_be_fetched_again(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    with pytest.raises(SynthesisError, match="not on this machine") as caught:
        VoiceConditionals(FakeModel(), max_voices=2).get(VoiceReference("a" * 64, tmp_path / "gone.wav"))
    assert caught.value.is_retryable


@pytest.mark.parametrize("error", [ValueError("no audio"), RuntimeError("Padding size should be less than 5")])
def test_reference_audio_that_cannot_be_a_voice_is_named(tmp_path: Path, error: Exception) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    model.error = error
    with pytest.raises(VoiceUnsupportedError, match="silent or too short") as caught:
        VoiceConditionals(model, max_voices=2).get(voice(tmp_path, 1))
    assert not caught.value.is_retryable


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("CUDA error: device-side assert")])
def test_a_fault_of_the_device_is_not_blamed_on_the_voice(tmp_path: Path, error: Exception) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    model.error = error
    with pytest.raises(type(error)):
        VoiceConditionals(model, max_voices=2).get(voice(tmp_path, 1))


class FakeSpeaker:
    """Goes astray with the first seeds it is given."""

    def __init__(self, num_astray: int, error: Exception) -> None:
        self.num_astray, self.error = num_astray, error
        self.seeds: list[int] = []

    def speak(self, request: SegmentRequest) -> np.ndarray:
        self.seeds.append(request.seed)
        if len(self.seeds) <= self.num_astray:
            raise self.error
        return np.ones(10, np.float32)


def astray(num_astray: int, error: Exception) -> tuple[Any, FakeSpeaker]:
    from worker.engine.chatterbox import ChatterboxEngine

    engine = ChatterboxEngine(Path("/nowhere"), cache_dir=Path("/nowhere"))
    speaker = FakeSpeaker(num_astray, error)
    engine._speakers[ModelName.ENGLISH] = speaker  # type: ignore[assignment]
    return engine, speaker


@pytest.mark.parametrize("error", [NoEndOfSpeechError("it runs"), NoSpeechError("nothing")])
def test_a_segment_that_goes_astray_is_tried_with_other_seeds_always_the_same(error: Exception) -> None:
    takes = []
    for _ in range(2):
        engine, speaker = astray(2, error)
        takes.append(engine._speak(segment(seed=7)))
        assert speaker.seeds[0] == 7
        assert len(set(speaker.seeds)) == 3
        assert takes[-1].seed == speaker.seeds[-1]
    assert takes[0].seed == takes[1].seed


def test_a_segment_that_goes_astray_with_every_seed_fails_for_good() -> None:
    engine, speaker = astray(3, NoEndOfSpeechError("it runs"))
    with pytest.raises(NoEndOfSpeechError):
        engine._speak(segment())
    assert len(speaker.seeds) == 3


def test_an_error_that_no_seed_mends_is_not_tried_again() -> None:
    engine, speaker = astray(1, SegmentUnspeakableError("too long"))
    with pytest.raises(SegmentUnspeakableError):
        engine._speak(segment())
    assert len(speaker.seeds) == 1
