"""The vocoder against chatterbox-tts' own: any mix of utterances on a row, each as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from stockvocoder import speak_alone, stock_fade, stock_vocoder

from worker.engine.s3gen.convolution import round_to_tf32
from worker.engine.s3gen.hift import Hift
from worker.engine.s3gen.source import pitch, read_source_weights
from worker.errors import ModelLoadError

#: What full float32 may differ by, on samples of -0.99 to 0.99: convolutions add up in another order.
TOLERANCE = 1e-5
LENGTHS = (21, 1, 3, 12, 2)
SEEDS = (7, 2**32 - 1, 0, 123_456, 7)
NAN = float("nan")

#: The package's own imports warn, and take some ten seconds.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def vocoder() -> Any:
    return stock_vocoder()


@pytest.fixture(scope="module")
def hift(vocoder: Any) -> Hift:
    return Hift(vocoder, stock_fade(), device="cpu")


@pytest.fixture(scope="module")
def mels() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(80, length, generator=generator) * 2 - 5 for length in LENGTHS]


@pytest.fixture(scope="module")
def batch(hift: Hift, mels: list[torch.Tensor]) -> list[torch.Tensor]:
    return hift.samples(mels, SEEDS)


@pytest.mark.parametrize("index", range(len(LENGTHS)), ids=[f"{length} frames" for length in LENGTHS])
def test_an_utterance_of_a_mixed_batch_is_what_the_stock_vocoder_makes_of_it_alone(vocoder, mels, batch, index):
    alone = speak_alone(vocoder, stock_fade(), mels[index], SEEDS[index])

    assert batch[index].shape == alone.shape == (480 * LENGTHS[index],)
    # To the last sample: the tail is where padding would be heard.
    torch.testing.assert_close(batch[index], alone, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("window_frames", [5, 32])
def test_a_row_that_is_convolved_in_windows_sounds_as_one_that_is_not(vocoder, hift, window_frames):
    """Windows begin and end within utterances, at their ends and in gaps."""
    generator = torch.Generator().manual_seed(2)
    mels = [torch.randn(80, length, generator=generator) * 2 - 5 for length in (61, 1, 30)]
    sparing = Hift(vocoder, stock_fade(), device="cpu", window_frames=window_frames)

    for found, wanted in zip(sparing.samples(mels, SEEDS[:3]), hift.samples(mels, SEEDS[:3]), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE / 10)


def test_windows_without_what_lies_around_them_sound_otherwise(vocoder, hift, monkeypatch):
    """The test above would see windows that are too narrow."""
    monkeypatch.setattr("worker.engine.s3gen.hift._REACH_FRAMES", 5)
    mel = torch.randn(80, 61, generator=torch.Generator().manual_seed(2)) * 2 - 5
    short = Hift(vocoder, stock_fade(), device="cpu", window_frames=16)

    (found,), (wanted,) = short.samples([mel], SEEDS[:1]), hift.samples([mel], SEEDS[:1])

    assert (found - wanted).abs().max() > 10 * TOLERANCE


def test_the_comparison_would_see_a_change_in_the_last_frame_and_in_the_noise(vocoder, mels, batch):
    changed = mels[0].clone()
    changed[:, -1] += 1

    for mel, seed in ((changed, SEEDS[0]), (mels[0], SEEDS[0] + 1)):
        other = speak_alone(vocoder, stock_fade(), mel, seed)
        assert (other - batch[0])[-480:].abs().max() > 1_000 * TOLERANCE


def test_the_test_weights_give_voiced_and_unvoiced_frames(vocoder, mels):
    with torch.inference_mode():
        is_voiced = vocoder.f0_predictor(mels[0][None])[0] > 10

    assert 0.2 < is_voiced.float().mean() < 0.8


def test_the_pitch_is_that_of_the_stock_predictor(vocoder, mels):
    with torch.inference_mode():
        wanted = vocoder.f0_predictor(mels[0][None])[0]
        found = pitch(read_source_weights(vocoder, torch.device("cpu")), mels[0].T, torch.ones(LENGTHS[0]).bool())

    # The test weights make the pitch, and the error of its sum, 300 times as large.
    torch.testing.assert_close(found, wanted, rtol=0, atol=300 * 1e-6)


def test_the_order_and_the_company_change_nothing(hift, mels, batch):
    order = [3, 0, 4, 2, 1]

    again = hift.samples([mels[index] for index in order], [SEEDS[index] for index in order])
    alone = hift.samples(mels[:1], SEEDS[:1])

    for index, samples in zip(order, again, strict=True):
        torch.testing.assert_close(samples, batch[index], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(alone[0], batch[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("garbage", [NAN, float("inf"), 1e30])
def test_a_neighbour_that_is_garbage_harms_nobody(hift, mels, batch, garbage):
    broken = [*mels]
    broken[3] = torch.full_like(mels[3], garbage)

    beside = hift.samples(broken, SEEDS)

    for index in (0, 1, 2, 4):
        torch.testing.assert_close(beside[index], batch[index], rtol=0, atol=TOLERANCE)


def test_an_utterance_that_is_not_a_number_gives_samples_that_say_so(hift, mels):
    broken = mels[3].clone()
    broken[5, 4] = NAN

    assert not hift.samples([broken], [1])[0].isfinite().all()


def test_a_seed_decides_all_that_is_random(hift, mels):
    mel = mels[3]

    same, again, other = hift.samples([mel, mel, mel], [5, 5, 6])

    torch.testing.assert_close(same, again, rtol=0, atol=TOLERANCE)
    assert (same - other).abs().max() > 0.01


def test_torchs_own_generator_is_left_alone(hift, mels):
    before = torch.random.get_rng_state()

    hift.samples(mels[1:2], [3])

    assert torch.equal(torch.random.get_rng_state(), before)


def test_utterances_that_do_not_fit_on_one_row_get_several(vocoder, mels, batch):
    short = Hift(vocoder, stock_fade(), device="cpu", budgets_frames=(16, 20))

    # 21 frames are longer than any row, and still spoken.
    divided = short.samples(mels, SEEDS)

    for found, wanted in zip(divided, batch, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)


def test_the_stock_vocoder_stays_as_it_was(vocoder):
    names = set(vocoder.state_dict())
    weight = vocoder.conv_pre.weight.clone()

    Hift(vocoder, stock_fade(), device="cpu")

    assert set(vocoder.state_dict()) == names
    assert torch.equal(vocoder.conv_pre.weight, weight)


def test_half_precision_weights_are_refused(vocoder):
    class Halved:
        def parameters(self):
            return iter([torch.zeros(1, dtype=torch.float16)])

    with pytest.raises(ModelLoadError, match="float32"):
        Hift(Halved(), stock_fade(), device="cpu")


def test_numbers_are_rounded_to_the_nearest_that_tf32_has():
    step = 2.0**-10
    numbers = torch.tensor([1 + 0.4 * step, 1 + 0.6 * step, -1 - 0.6 * step, 0.0, NAN, float("inf"), -float("inf")])

    rounded = round_to_tf32(numbers)

    wanted = torch.tensor([1.0, 1 + step, -1 - step, 0.0, NAN, float("inf"), -float("inf")])
    torch.testing.assert_close(rounded, wanted, rtol=0, atol=0, equal_nan=True)


def test_bfloat16_convolutions_stay_within_the_stated_tolerance(vocoder, mels, batch):
    rounded = Hift(vocoder, stock_fade(), device="cpu", precision="bf16").samples(mels, SEEDS)

    for found, wanted in zip(rounded, batch, strict=True):
        error = (found - wanted).norm() / wanted.norm().clamp(min=1e-6)
        assert error < 0.02
    assert not torch.equal(rounded[0], batch[0])
