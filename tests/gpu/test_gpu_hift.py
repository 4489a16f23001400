"""On a GPU the vocoder gives what the stock one gives alone, graph or not, and every utterance has its watermark."""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch  # noqa: TID253
from stockvocoder import speak_alone, stock_fade, stock_vocoder

from worker.engine.s3gen.hift import Hift, VocoderPrecision
from worker.engine.s3gen.watermark import Watermark
from worker.models.watermark import MIN_DETECTION, detect_watermark

pytestmark = pytest.mark.gpu

LENGTHS = (40, 1, 75, 2, 9)
SEEDS = (7, 1, 2**32 - 1, 3, 7)
BUDGETS = (64, 256)
#: Relative error against the stock vocoder in full float32 on a CPU, root of mean squares, of the worst utterance.
TOLERANCES: dict[VocoderPrecision, float] = {"fp32": 2e-4, "tf32": 5e-3, "bf16": 3e-2}
RATE_HZ = 24_000


@cache
def vocoder() -> Any:
    return stock_vocoder()


@cache
def mels() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(80, length, generator=generator) * 2 - 5 for length in LENGTHS]


@cache
def alone() -> list[torch.Tensor]:
    return [speak_alone(vocoder(), stock_fade(), mel, seed) for mel, seed in zip(mels(), SEEDS, strict=True)]


@cache
def hift(form: VocoderPrecision, *, is_warm: bool = True) -> Hift:
    made = Hift(vocoder(), stock_fade(), device="cuda", precision=form, budgets_frames=BUDGETS)
    if is_warm:
        made.warm_up()
    return made


def spoken(
    form: VocoderPrecision, order: tuple[int, ...] = (0, 1, 2, 3, 4), *, is_warm: bool = True
) -> list[torch.Tensor]:
    chosen = [mels()[index].cuda() for index in order]
    made = hift(form, is_warm=is_warm).samples(chosen, [SEEDS[index] for index in order])
    return [samples.cpu() for samples in made]


@pytest.mark.parametrize("is_warm", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("form", list(TOLERANCES))
def test_a_mixed_batch_is_what_the_stock_vocoder_makes_of_each_alone(
    form: VocoderPrecision, is_warm: bool, figures: Any
) -> None:
    errors = {}
    for length, found, wanted in zip(LENGTHS, spoken(form, is_warm=is_warm), alone(), strict=True):
        assert found.shape == wanted.shape
        errors[length] = ((found - wanted).norm() / wanted.norm().clamp(min=1e-9)).item()
    figures[f"{form} {'graph' if is_warm else 'eager'}: relative error by frames"] = errors
    assert max(errors.values()) <= TOLERANCES[form]


@pytest.mark.parametrize("form", list(TOLERANCES))
def test_order_and_rows_change_nothing(form: VocoderPrecision) -> None:
    straight = spoken(form)
    order = (3, 0, 4)

    for index, found in zip(order, spoken(form, order), strict=True):
        torch.testing.assert_close(found, straight[index], rtol=0, atol=TOLERANCES[form] / 10)


def test_a_neighbour_that_is_no_number_harms_nobody() -> None:
    broken = [mel.cuda() for mel in mels()]
    broken[2] = torch.full_like(broken[2], float("nan"))

    found = hift("tf32").samples(broken, SEEDS)

    assert not found[2].isfinite().all()
    for index in (0, 1, 3, 4):
        torch.testing.assert_close(found[index].cpu(), spoken("tf32")[index], rtol=0, atol=1e-4)


def test_results_outlive_the_next_call() -> None:
    first = hift("tf32").samples([mels()[0].cuda()], [5])[0]
    kept = first.cpu()

    hift("tf32").samples([mels()[2].cuda()], [6])

    assert torch.equal(first.cpu(), kept)


def test_the_same_call_gives_the_same_samples() -> None:
    for one, other in zip(spoken("tf32"), spoken("tf32"), strict=True):
        assert torch.equal(one, other)


def test_every_utterance_carries_the_watermark_and_is_what_resemble_perth_makes_of_it(figures: Any) -> None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import perth

        stock = perth.PerthImplicitWatermarker()
    time_s = torch.arange(8 * RATE_HZ) / RATE_HZ
    buzz = sum(torch.sin(2 * torch.pi * 110 * harmonic * time_s) / harmonic for harmonic in range(1, 20))
    voice = 0.1 * buzz * (0.3 + 0.7 * torch.sin(9 * time_s).abs())
    samples = [voice[: 480 * frames] for frames in (400, 9, 30, 51)]

    marked = Watermark(stock, device="cuda").apply([each.cuda() for each in samples])

    with torch.inference_mode():
        wanted = [stock.apply_watermark(each.numpy(), sample_rate=RATE_HZ) for each in samples]
    scores = [detect_watermark(stock, pcm, RATE_HZ) for pcm in marked]
    errors = [float(np.abs(pcm - other).max()) for pcm, other in zip(marked, wanted, strict=True)]
    figures["watermark"] = {"detection": scores, "max_abs_error": errors}
    assert min(scores) >= MIN_DETECTION
    # The network's convolutions are in TF32 on a GPU, those of resemble-perth too.
    assert max(errors) <= 1e-3
