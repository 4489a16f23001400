"""In float32 our generation gives the tokens of chatterbox-tts, and leaves the model as it found it."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: TID253
from tiny_t3 import text_ids, tiny_t3, tiny_voice

from worker.errors import NoEndOfSpeechError, NoSpeechError, SegmentUnspeakableError, SynthesisError
from worker.models import generation
from worker.models.generation import generate_tokens, require_speech
from worker.models.sampling import (
    Sampling,
    choose_token,
    keep_min_p,
    keep_top_p,
    penalise_repetition,
)

NUM_STEPS = 25

#: torch and transformers warn of calls in the package.
pytestmark = pytest.mark.filterwarnings("default")


def stock_tokens(t3: Any, text: Any, sampling: Sampling, *, seed: int, num_steps: int = NUM_STEPS) -> list[int]:
    torch.manual_seed(seed)
    tokens = t3.inference(
        t3_cond=tiny_voice(),
        text_tokens=torch.stack([text, text]),
        max_new_tokens=num_steps,
        temperature=sampling.temperature,
        cfg_weight=sampling.cfg_weight,
        repetition_penalty=sampling.repetition_penalty,
        min_p=sampling.min_p,
        top_p=sampling.top_p,
    )[0].tolist()
    return tokens[:-1] if tokens[-1] == t3.hp.stop_speech_token else tokens


@pytest.mark.parametrize(
    ("model", "sampling"),
    [
        ("english", Sampling()),
        ("english", Sampling(min_p=1.0)),
        ("english", Sampling(temperature=1.3, min_p=0.0, top_p=0.8, cfg_weight=0.9)),
        ("english", Sampling(temperature=1.0, repetition_penalty=1.0)),
        ("multilingual", Sampling(repetition_penalty=2.0)),
        ("multilingual", Sampling(repetition_penalty=2.0, min_p=1.0)),
        ("multilingual", Sampling(repetition_penalty=2.0, cfg_weight=0.0)),
    ],
)
def test_the_tokens_are_those_of_the_stock_loop(model: str, sampling: Sampling) -> None:
    text, t3 = text_ids(), tiny_t3(model)
    torch.manual_seed(1)
    # The stock loop comes second: it leaves its hooks behind.
    tokens, _ = generate_tokens(t3, tiny_voice(), text, sampling, max_tokens=NUM_STEPS)
    assert tokens.tolist() == stock_tokens(t3, text, sampling, seed=1)


def hooks_of(t3: Any) -> int:
    return sum(len(module._forward_hooks) for module in t3.modules())


def test_fifty_multilingual_calls_leave_no_hook_and_no_slow_attention() -> None:
    t3 = tiny_t3("multilingual")
    names = [name for name, _ in t3.named_modules()]
    for number in range(50):
        generate_tokens(t3, tiny_voice(), text_ids(first=20 + number), Sampling(), max_tokens=1)
        assert hooks_of(t3) == 0
    assert t3.tfmr.config._attn_implementation == "sdpa"
    assert not getattr(t3.tfmr.config, "output_attentions", False)
    assert [name for name, _ in t3.named_modules()] == names


def test_a_failed_call_leaves_no_hook_either() -> None:
    t3 = tiny_t3("multilingual")
    with torch.no_grad():
        t3.speech_head.weight[5] = float("nan")
    with pytest.raises(SynthesisError, match="not finite"):
        generate_tokens(t3, tiny_voice(), text_ids(), Sampling(), max_tokens=4)
    assert hooks_of(t3) == 0
    assert t3.tfmr.config._attn_implementation == "sdpa"


def test_the_stock_loop_piles_up_hooks_and_stays_slow() -> None:
    """The trap itself: if this fails, chatterbox-tts has mended it."""
    t3 = tiny_t3("multilingual")
    counts = []
    for seed in (1, 2, 3):
        stock_tokens(t3, text_ids(), Sampling(), seed=seed, num_steps=4)
        counts.append(hooks_of(t3))
    assert counts[1] - counts[0] == counts[2] - counts[1] == 3
    assert t3.tfmr.config._attn_implementation == "eager"


@pytest.mark.parametrize("model", ["english", "multilingual"])
def test_guidance_can_be_off(model: str) -> None:
    tokens, _ = generate_tokens(tiny_t3(model), tiny_voice(), text_ids(), Sampling(cfg_weight=0.0), max_tokens=4)
    assert len(tokens) == 4


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_text_too_short_for_the_alignment_analysis_is_spoken(length: int) -> None:
    t3 = tiny_t3("multilingual")
    tokens, _ = generate_tokens(t3, tiny_voice(), text_ids(length), Sampling(), max_tokens=8)
    assert len(tokens) > 0


def test_the_voice_that_is_passed_in_is_not_written_to() -> None:
    voice = tiny_voice()
    before = dict(voice.__dict__)
    generate_tokens(tiny_t3(), voice, text_ids(), Sampling(), max_tokens=2)
    assert voice.__dict__ == before
    assert voice.cond_prompt_speech_emb is None


def test_a_seed_of_its_own_makes_a_call_independent_of_other_draws() -> None:
    t3, found = tiny_t3(), []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        generator = torch.Generator().manual_seed(7)
        tokens, _ = generate_tokens(t3, tiny_voice(), text_ids(), Sampling(), max_tokens=8, generator=generator)
        found.append(tokens.tolist())
    assert found[0] == found[1]


def test_a_text_longer_than_the_positions_is_refused() -> None:
    with pytest.raises(SegmentUnspeakableError, match="2049 tokens long, and the model reads 2048"):
        generate_tokens(tiny_t3(), tiny_voice(), text_ids(2049), Sampling())


def test_the_ceiling_is_told_from_an_end() -> None:
    t3 = tiny_t3()
    tokens, has_ended = generate_tokens(t3, tiny_voice(), text_ids(), Sampling(), max_tokens=3)
    assert (len(tokens), has_ended) == (3, False)
    with pytest.raises(NoEndOfSpeechError, match="no end after 3 speech tokens"):
        require_speech(tokens, has_ended=has_ended)


def test_an_end_at_the_ceiling_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    t3 = tiny_t3()
    drawn = iter([7, 8, t3.hp.stop_speech_token])

    def draw(*_: Any) -> tuple[torch.Tensor, int]:
        number = next(drawn)
        return torch.tensor([[number]]), number

    monkeypatch.setattr(generation, "choose_token", draw)
    tokens, has_ended = generate_tokens(t3, tiny_voice(), text_ids(), Sampling(), max_tokens=3)
    assert (tokens.tolist(), has_ended) == ([7, 8], True)


def test_tokens_without_a_sound_are_left_out_and_silence_is_an_error() -> None:
    assert require_speech(torch.tensor([5, 6561, 6560, 8193]), has_ended=True).tolist() == [5, 6560]
    with pytest.raises(NoSpeechError, match="before it began"):
        require_speech(torch.tensor([6561, 7000]), has_ended=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("cfg_weight", -0.1),
        ("cfg_weight", float("nan")),
        ("repetition_penalty", 0.0),
        ("min_p", 1.1),
        ("top_p", 0.0),
    ],
)
def test_a_parameter_that_would_poison_the_device_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name) as raised:
        Sampling(**{name: value})
    assert isinstance(raised.value, SegmentUnspeakableError)


@pytest.mark.parametrize("min_p", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("top_p", [0.3, 0.9, 1.0])
def test_filters_keep_what_those_of_transformers_keep(min_p: float, top_p: float) -> None:
    from transformers.generation.logits_process import (
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TopPLogitsWarper,
    )

    logits = 4 * torch.randn(1, 500, generator=torch.Generator().manual_seed(3))
    previous = torch.tensor([[3, 9, 3, 42]])
    expected = RepetitionPenaltyLogitsProcessor(penalty=1.3)(previous, logits)
    found = penalise_repetition(logits, previous, 1.3)
    assert torch.equal(found, expected)
    expected = TopPLogitsWarper(top_p=top_p)(previous, MinPLogitsWarper(min_p=min_p)(previous, expected))
    assert torch.equal(keep_top_p(keep_min_p(found, min_p), top_p).softmax(-1), expected.softmax(-1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error_and_not_a_dead_process(value: float) -> None:
    logits = torch.zeros(1, 10)
    logits[0, 3] = value
    with pytest.raises(SynthesisError, match="not finite"):
        choose_token(logits, torch.tensor([[1]]), Sampling(), None)
