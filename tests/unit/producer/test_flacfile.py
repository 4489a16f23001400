"""The header of a FLAC file, against files of the encoder that makes our segments."""

from __future__ import annotations

import numpy as np
import pytest

from producer.flacfile import HEADER_BYTES, FlacHeader, read_flac_header
from worker.audio import encode_segment


@pytest.mark.parametrize(("num_samples", "rate_hz"), [(1, 8_000), (12_345, 24_000), (300_001, 48_000)])
def test_the_header_says_what_was_encoded(num_samples, rate_hz):
    data = encode_segment(np.zeros(num_samples, np.float32), rate_hz)
    assert read_flac_header(data[:HEADER_BYTES]) == FlacHeader(rate_hz, 1, num_samples)


@pytest.mark.parametrize("data", [b"", b"fLaC", b"RIFF" + bytes(60), b"fLaC\x84\0\0\x22" + bytes(60)])
def test_what_is_no_flac_file_has_no_header(data):
    assert read_flac_header(data) is None
