"""Takes as FLAC files and back."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from worker.audio import decode_segment, encode_segment
from worker.errors import AssemblyError, SynthesisError

RATE_HZ = 24_000


def test_a_take_comes_back_within_half_a_step_of_16_bits() -> None:
    pcm = np.random.default_rng(1).uniform(-1, 1, RATE_HZ).astype(np.float32)
    samples, rate_hz = decode_segment(encode_segment(pcm, RATE_HZ))
    assert rate_hz == RATE_HZ
    assert samples.dtype == np.int16
    np.testing.assert_allclose(samples, pcm * 32_767, atol=0.51)


def test_what_is_too_loud_is_clipped_and_does_not_wrap_around() -> None:
    samples, _ = decode_segment(encode_segment(np.array([2.0, -2.0, 1.0, -1.0], np.float32), RATE_HZ))
    assert samples.tolist() == [32_767, -32_767, 32_767, -32_767]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_take_that_holds_no_numbers_is_refused(value: float) -> None:
    with pytest.raises(SynthesisError, match="no numbers"):
        encode_segment(np.array([0.0, value], np.float32), RATE_HZ)


def test_an_empty_take_is_refused() -> None:
    with pytest.raises(SynthesisError, match="no audio"):
        encode_segment(np.zeros(0, np.float32), RATE_HZ)


def flac_of(channels: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((100, channels), np.int16), RATE_HZ, format="FLAC")
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"not audio", encode_segment(np.ones(9_000, np.float32), RATE_HZ)[:-20], flac_of(channels=2)],
    ids=["empty", "text", "cut short", "stereo"],
)
def test_a_broken_object_is_named(data: bytes) -> None:
    with pytest.raises(AssemblyError, match="a stored segment is"):
        decode_segment(data)
