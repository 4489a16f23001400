"""The cache of voices, with a small stand-in for the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch  # noqa: TID253

from worker.engine.request import VoiceReference
from worker.errors import (
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
