"""A batch of the renderer gives each speech its own audio, watermarked, and an error where there is none."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253

from worker.engine.s3gen.renderer import Renderer
from worker.engine.s3gen.speech import Speech
from worker.errors import SynthesisError, WatermarkError
from worker.models.watermark import MIN_DETECTION, detect_watermark

SAMPLE_RATE_HZ = 24_000
SAMPLES_PER_TOKEN = 960
#: These weights speak with an amplitude of 0.04.
TOLERANCE = 1e-5

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@cache
def parts() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import perth
        from chatterbox.models.s3gen import S3Gen

        torch.manual_seed(20_261_122)
        return S3Gen().eval(), perth.PerthImplicitWatermarker()


@cache
def renderer() -> Renderer:
    s3gen, watermarker = parts()
    return Renderer(s3gen, watermarker, device="cpu", max_frames_per_batch=4_000)


@cache
def speeches() -> tuple[Speech, ...]:
    generator = torch.Generator().manual_seed(1)
    reference = {
        "prompt_token": torch.randint(0, 6561, (1, 3), generator=generator),
        "prompt_token_len": torch.tensor([3]),
        "prompt_feat": torch.randn(1, 6, 80, generator=generator) - 5,
        "prompt_feat_len": None,
        "embedding": torch.randn(1, 192, generator=generator),
    }
    sizes = (25, 2, 6)
    return tuple(
        Speech(torch.randint(0, 6561, (size,), generator=generator), reference, seed) for seed, size in enumerate(sizes)
    )


@cache
def rendered() -> list[Any]:
    return renderer().render(speeches())


def test_each_speech_has_its_length_and_its_watermark() -> None:
    for speech, pcm in zip(speeches(), rendered(), strict=True):
        assert pcm.dtype == np.float32
        assert pcm.shape == (SAMPLES_PER_TOKEN * speech.tokens.numel(),)
    assert detect_watermark(parts()[1], rendered()[0], SAMPLE_RATE_HZ) > MIN_DETECTION


def test_a_speech_sounds_the_same_alone() -> None:
    (alone,) = renderer().render(speeches()[2:])
    np.testing.assert_allclose(alone, rendered()[2], rtol=0, atol=TOLERANCE)


def test_bad_speeches_fail_at_their_places() -> None:
    first, _, last = speeches()
    silent = Speech(torch.tensor([], dtype=torch.int64), first.reference, 1)
    results = renderer().render([silent, last, Speech(torch.tensor([9_999]), first.reference, 1)])
    assert isinstance(results[0], SynthesisError)
    assert isinstance(results[2], SynthesisError)
    np.testing.assert_allclose(results[1], rendered()[2], rtol=0, atol=TOLERANCE)


def test_no_speeches_give_nothing_and_only_bad_ones_give_errors() -> None:
    assert renderer().render([]) == []
    bad = Speech(torch.tensor([-1]), speeches()[0].reference, 1)
    assert [type(result) for result in renderer().render([bad, bad])] == [SynthesisError, SynthesisError]


def test_a_speech_that_cannot_be_marked_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = renderer()._watermark.apply
    unmarkable = SAMPLES_PER_TOKEN * speeches()[1].tokens.numel()

    def fail_on_one(samples: Any) -> Any:
        if any(each.numel() == unmarkable for each in samples):
            raise WatermarkError("no mark")
        return mark(samples)

    monkeypatch.setattr(renderer()._watermark, "apply", fail_on_one)
    results = renderer().render(speeches()[1:])
    assert isinstance(results[0], SynthesisError)
    assert "watermark" in str(results[0])
    assert isinstance(results[1], np.ndarray)


def test_samples_that_are_not_finite_fail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    vocode = renderer()._hift.samples

    def spoil_the_first(mels: Any, seeds: Any) -> Any:
        first, *rest = vocode(mels, seeds)
        return [first * float("nan"), *rest]

    monkeypatch.setattr(renderer()._hift, "samples", spoil_the_first)
    results = renderer().render(speeches()[1:])
    assert "finite" in str(results[0])
    assert isinstance(results[1], np.ndarray)
