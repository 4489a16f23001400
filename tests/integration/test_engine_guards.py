"""The guards around the stock T3 and the cache of voices, with small stand-ins for the models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch  # noqa: TID253

from worker.engine.request import VoiceReference
from worker.errors import NoEndOfSpeechError, SegmentUnspeakableError, SynthesisError, VoiceUnsupportedError

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]  # the packages warn while they import

START, STOP, SPACE = 6561, 6562, 2


class FakeT3:
    """Says what it is told to, and leaves behind what the stock one does."""

    def __init__(self, spoken: list[int], *, is_multilingual: bool = False) -> None:
        self.hp = SimpleNamespace(max_text_tokens=2048, stop_speech_token=STOP, is_multilingual=is_multilingual)
        self.tfmr = torch.nn.Module()
        self.tfmr.config = SimpleNamespace(output_attentions=False, _attn_implementation="sdpa")
        attention = torch.nn.Module()
        attention.register_forward_hook(lambda *_: None)  # one of transformers' own
        self.tfmr.layers = [SimpleNamespace(self_attn=attention)]
        self._modules: dict[str, Any] = {}
        self.spoken = spoken
        self.received: dict[str, Any] = {}

    def inference(self, **options: Any) -> torch.Tensor:
        self.received = options
        hook: Callable[..., None] = lambda *_: None  # noqa: E731
        hook.__module__ = "chatterbox.models.t3.inference.alignment_stream_analyzer"
        self.tfmr.layers[0].self_attn.register_forward_hook(hook)
        self.tfmr.config.output_attentions = True
        self.tfmr.config._attn_implementation = "eager"
        return torch.tensor([self.spoken])

    def say(self, num_text_tokens: int = 10, *, rows: int = 2, cfg_weight: float = 0.5) -> list[int]:
        from worker.engine.t3_guard import T3Guard

        T3Guard(self, space_token=SPACE)
        text = torch.full((rows, num_text_tokens), 7)
        text[:, 0], text[:, -1] = 255, 0
        return self.inference(text_tokens=text, max_new_tokens=1000, cfg_weight=cfg_weight, temperature=0.5)[0].tolist()


def test_speech_that_ends_is_passed_on_with_every_option() -> None:
    t3 = FakeT3([1, 2, 3, STOP])
    assert t3.say() == [1, 2, 3, STOP]
    assert t3.received["temperature"] == 0.5
    assert t3.received["max_new_tokens"] == 1000


def test_speech_without_an_end_is_an_error() -> None:
    with pytest.raises(NoEndOfSpeechError, match=r"1000 speech tokens \(40 s\)") as caught:
        FakeT3([5] * 1000).say()
    assert caught.value.is_retryable


def test_an_end_at_the_ceiling_is_an_end() -> None:
    assert FakeT3([5] * 999 + [STOP]).say()[-1] == STOP


def test_speech_tokens_that_the_vocoder_does_not_know_are_dropped() -> None:
    assert FakeT3([1, START, 6560, 6561, 6563, 8193, 2, STOP]).say() == [1, 6560, 2, STOP]


@pytest.mark.parametrize("spoken", [[STOP], [8000, START, STOP]])
def test_speech_that_is_empty_is_an_error(spoken: list[int]) -> None:
    with pytest.raises(SynthesisError, match="before it spoke"):
        FakeT3(spoken).say()


@pytest.mark.parametrize(("num_tokens", "fits"), [(2050, True), (2051, False)])
def test_a_text_that_is_too_long_for_the_model_never_reaches_it(num_tokens: int, fits: bool) -> None:
    t3 = FakeT3([1, STOP])
    if fits:
        assert t3.say(num_tokens) == [1, STOP]
        return
    with pytest.raises(SegmentUnspeakableError, match="2049 text tokens and the model takes 2048"):
        t3.say(num_tokens)
    assert not t3.received


def test_without_guidance_the_text_still_comes_in_two_rows() -> None:
    t3 = FakeT3([1, STOP])
    t3.say(rows=1, cfg_weight=0.0)
    assert t3.received["text_tokens"].shape == (2, 10)
    assert t3.received["cfg_weight"] == 0.0


@pytest.mark.parametrize(("is_multilingual", "length"), [(True, 6), (False, 4)])
def test_a_very_short_text_is_filled_up_with_blanks_for_the_multilingual_model(
    is_multilingual: bool, length: int
) -> None:
    t3 = FakeT3([1, STOP], is_multilingual=is_multilingual)
    t3.say(4)
    expected = [255, 7, 7, *[SPACE] * (length - 4), 0]
    assert t3.received["text_tokens"].tolist() == [expected, expected]


@pytest.mark.parametrize("spoken", [[1, STOP], [1]])
def test_what_a_call_leaves_behind_is_removed_even_after_an_error(spoken: list[int]) -> None:
    t3 = FakeT3(spoken)
    for _ in range(3):
        if spoken[-1] == STOP:
            t3.say()
        else:
            with pytest.raises(NoEndOfSpeechError):
                t3.say()
        assert len(t3.tfmr.layers[0].self_attn._forward_hooks) == 1
        assert t3.tfmr.config == SimpleNamespace(output_attentions=False, _attn_implementation="sdpa")


class FakeModel:
    """Makes conditionals out of a file's name."""

    device = "cpu"

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.error: Exception | None = None
        self.conds = conditionals(0.0)

    def prepare_conditionals(self, path: Path) -> None:
        if self.error:
            raise self.error
        self.prepared.append(path.stem)
        self.conds = conditionals(float(path.stem))


def conditionals(value: float) -> Any:
    from chatterbox.models.t3.modules.cond_enc import T3Cond
    from chatterbox.tts import Conditionals

    tensor = torch.full((1, 4), value)
    return Conditionals(T3Cond(speaker_emb=tensor, cond_prompt_speech_tokens=tensor.long()), {"embedding": tensor})


def voice(tmp_path: Path, number: int) -> VoiceReference:
    path = tmp_path / f"{number}.wav"
    path.touch()
    return VoiceReference(f"{number:064x}", path)


def test_a_voice_is_prepared_once_for_every_exaggeration(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    voices = VoiceConditionals(model, max_voices=2)
    first, second = (voices.fresh(voice(tmp_path, 1), exaggeration) for exaggeration in (0.3, 0.9))
    assert model.prepared == ["1"]
    assert first.t3.emotion_adv.item() == pytest.approx(0.3)
    assert second.t3.emotion_adv.item() == pytest.approx(0.9)


def test_the_voice_that_was_not_used_for_longest_is_forgotten(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    voices = VoiceConditionals(model, max_voices=2)
    for number in (1, 2, 1, 3, 1, 2):
        assert voices.fresh(voice(tmp_path, number), 0.5).gen["embedding"][0, 0] == number
    assert model.prepared == ["1", "2", "3", "2"]


def test_what_the_model_writes_into_conditionals_stays_there(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    voices = VoiceConditionals(FakeModel(), max_voices=2)
    for reference, value in ((None, 0.0), (voice(tmp_path, 1), 1.0)):
        used = voices.fresh(reference, 0.5)
        used.gen["embedding"] = torch.zeros(0)
        used.t3.cond_prompt_speech_emb = torch.zeros(0)
        used.t3.speaker_emb = torch.zeros(0)
        again = voices.fresh(reference, 0.5)
        assert again.gen["embedding"][0, 0] == value
        assert again.t3.speaker_emb[0, 0] == value
        assert again.t3.cond_prompt_speech_emb is None


def test_preparing_a_voice_does_not_change_the_built_in_one(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    voices = VoiceConditionals(FakeModel(), max_voices=2)
    voices.fresh(voice(tmp_path, 1), 0.5)
    assert voices.fresh(None, 0.5).gen["embedding"][0, 0] == 0.0


def test_reference_audio_that_is_gone_may_be_fetched_again(tmp_path: Path) -> None:
    from worker.engine.conditionals import VoiceConditionals

    with pytest.raises(SynthesisError, match="not on this machine") as caught:
        VoiceConditionals(FakeModel(), max_voices=2).fresh(VoiceReference("a" * 64, tmp_path / "gone.wav"), 0.5)
    assert caught.value.is_retryable


@pytest.mark.parametrize("error", [ValueError("no audio"), RuntimeError("Padding size should be less than 5")])
def test_reference_audio_that_cannot_be_a_voice_is_named(tmp_path: Path, error: Exception) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    model.error = error
    with pytest.raises(VoiceUnsupportedError, match="silent or too short") as caught:
        VoiceConditionals(model, max_voices=2).fresh(voice(tmp_path, 1), 0.5)
    assert not caught.value.is_retryable


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("CUDA error: device-side assert")])
def test_a_fault_of_the_device_is_not_blamed_on_the_voice(tmp_path: Path, error: Exception) -> None:
    from worker.engine.conditionals import VoiceConditionals

    model = FakeModel()
    model.error = error
    with pytest.raises(type(error)):
        VoiceConditionals(model, max_voices=2).fresh(voice(tmp_path, 1), 0.5)
