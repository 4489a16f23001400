"""The watermark of a batch: what resemble-perth puts into each utterance alone, found by its own detector."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import pytest
import soundfile
import torch  # noqa: TID253 - the tests hand over tensors

from worker.engine.s3gen.resampling import Resampler
from worker.engine.s3gen.watermark import Watermark
from worker.errors import WatermarkError
from worker.models.watermark import MIN_DETECTION, detect_watermark

RATE_HZ = 24_000
#: What a batch may differ by from resemble-perth alone, on samples of -1 to 1.
TOLERANCE = 2e-6
#: In samples: a frame of the vocoder has 480. The last two are shorter than a sound.
LENGTHS = (480 * 50, 480 * 9, 480 * 31, 960, 480)
#: From 140 ms on; in less than that even the stock detector does not find the stock watermark.
NUM_DETECTABLE = 3

#: The package's own imports warn.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def perth_watermarker() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import perth

        return perth.PerthImplicitWatermarker()


@pytest.fixture(scope="module")
def watermark(perth_watermarker: Any) -> Watermark:
    return Watermark(perth_watermarker, device="cpu")


def voice(num_samples: int, seed: int) -> torch.Tensor:
    """Return a buzz that rises, falls and swells as speech does, with a little noise, [S] float32."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(num_samples) / RATE_HZ
    pitch_hz = (100 + 20 * seed) * (1 + 0.1 * np.sin(2 * np.pi * (2 + seed) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    buzz = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 30))
    swell = 0.3 + 0.7 * np.abs(np.sin(2 * np.pi * 1.5 * time_s))
    return torch.from_numpy((0.1 * buzz * swell + 0.003 * generator.standard_normal(num_samples)).astype(np.float32))


@pytest.fixture(scope="module")
def voices() -> list[torch.Tensor]:
    return [voice(length, seed) for seed, length in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def batch(watermark: Watermark, voices: list[torch.Tensor]) -> list[np.ndarray]:
    return watermark.apply(voices)


def flac_round_trip(pcm: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


@pytest.mark.parametrize("index", range(NUM_DETECTABLE))
def test_the_stock_detector_finds_the_mark_in_every_utterance_of_a_mixed_batch(perth_watermarker, voices, batch, index):
    assert detect_watermark(perth_watermarker, batch[index], RATE_HZ) >= MIN_DETECTION
    assert detect_watermark(perth_watermarker, flac_round_trip(batch[index]), RATE_HZ) >= MIN_DETECTION
    assert detect_watermark(perth_watermarker, voices[index].numpy(), RATE_HZ) < 0.1


@pytest.mark.parametrize("index", range(len(LENGTHS) - 1))
def test_an_utterance_of_a_batch_is_what_resemble_perth_makes_of_it_alone(perth_watermarker, voices, batch, index):
    with torch.inference_mode():
        alone = perth_watermarker.apply_watermark(voices[index].numpy(), sample_rate=RATE_HZ)

    assert batch[index].dtype == np.float32
    assert batch[index].shape == alone.shape
    np.testing.assert_allclose(batch[index], alone, rtol=0, atol=TOLERANCE)
    # The mark itself is far above the tolerance.
    assert np.abs(alone - voices[index].numpy()).max() > 1_000 * TOLERANCE


def test_one_frame_is_marked_though_resemble_perth_cannot_take_so_little(perth_watermarker, voices, batch):
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"[Pp]adding"):
        perth_watermarker.apply_watermark(voices[-1].numpy(), sample_rate=RATE_HZ)

    assert batch[-1].shape == (480,)
    assert np.abs(batch[-1] - voices[-1].numpy()).max() > 1_000 * TOLERANCE


def test_order_and_company_change_nothing(watermark, voices, batch):
    order = [2, 4, 0, 3, 1]

    again = watermark.apply([voices[index] for index in order])

    for index, pcm in zip(order, again, strict=True):
        np.testing.assert_allclose(pcm, batch[index], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(watermark.apply(voices[:1])[0], batch[0], rtol=0, atol=TOLERANCE)


def test_loud_neighbours_leave_quiet_utterances_as_they_are(watermark, voices, batch):
    loud = [each * 8 if index != 1 else each for index, each in enumerate(voices)]

    np.testing.assert_allclose(watermark.apply(loud)[1], batch[1], rtol=0, atol=TOLERANCE)


def test_more_than_a_row_holds_gets_several_rows(watermark, voices, batch, monkeypatch):
    monkeypatch.setattr("worker.engine.s3gen.watermark.BUDGETS_HOPS", (64, 90))

    for found, wanted in zip(watermark.apply(voices), batch, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("max_hops", [1, 7, 64])
def test_transforms_of_few_hops_at_a_time_give_the_same(perth_watermarker, voices, batch, max_hops):
    sparing = Watermark(perth_watermarker, device="cpu", max_hops=max_hops)

    for found, wanted in zip(sparing.apply(voices[1:4]), batch[1:4], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


def test_results_own_their_memory(watermark, voices):
    first, second = watermark.apply(voices[:2])
    kept = second.copy()
    first[:] = 9.0

    np.testing.assert_array_equal(second, kept)
    np.testing.assert_array_equal(voices[0], voice(LENGTHS[0], 0))


def test_silence_stays_silence(watermark):
    assert not watermark.apply([torch.zeros(960)])[0].any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_an_error(watermark, voices, value):
    broken = voices[1].clone()
    broken[700] = value

    with pytest.raises(WatermarkError, match="not finite"):
        watermark.apply([voices[0], broken])


@pytest.mark.parametrize("num_samples", [0, 240, 481])
def test_a_length_that_cannot_be_marked_is_an_error(watermark, num_samples):
    with pytest.raises(WatermarkError, match="cannot be marked"):
        watermark.apply([torch.ones(num_samples)])


def test_an_utterance_without_a_mark_is_an_error(perth_watermarker, voices, monkeypatch):
    deaf = Watermark(perth_watermarker, device="cpu")
    monkeypatch.setattr("worker.engine.s3gen.perthnet._MIN_LOUDNESS", 2.0)

    with pytest.raises(WatermarkError, match="without a watermark"):
        deaf.apply(voices[:1])


def test_another_class_of_watermarker_is_refused():
    import perth

    with pytest.raises(WatermarkError, match="DummyWatermarker"):
        Watermark(perth.DummyWatermarker(), device="cpu")


def test_nobody_asked_for_no_watermark(watermark):
    assert watermark.apply([]) == []


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 32_000), (32_000, 24_000)])
@pytest.mark.parametrize("num_blocks", [1, 7])
def test_the_resampler_does_what_librosas_does_to_the_ends(from_hz, to_hz, num_blocks):
    import librosa

    resampler = Resampler(from_hz, to_hz, torch.device("cpu"))
    noise = np.random.default_rng(4).standard_normal(resampler.num_in * num_blocks).astype(np.float32)

    found = resampler.resample(torch.from_numpy(noise)).numpy()

    np.testing.assert_allclose(found, librosa.resample(noise, orig_sr=from_hz, target_sr=to_hz), rtol=0, atol=1e-5)
