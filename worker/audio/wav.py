"""WAV: a header and the samples as they are. Knows nothing of what they say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.riff import riff_tags
from worker.audio.tags import NO_TAGS, Tags

_PCM: Final = 1
_NUM_CHANNELS: Final = 1
_SAMPLE_BYTES: Final = 2
#: The sizes in a plain header have 32 bits: 24 hours at 24 kHz. Longer audio is RF64 (EBU Tech 3306), the same with a
#: chunk of 64-bit sizes in front.
_MAX_WAV_BYTES: Final = 2**32 - 1
_SEE_DS64: Final = 2**32 - 1


class WavEncoding:
    """Mono, 16 bits."""

    def __init__(self, sample_rate_hz: int, total_samples: int, tags: Tags = NO_TAGS) -> None:
        self._rate_hz = sample_rate_hz
        self._total_samples = total_samples
        self._tags = tags

    def header(self) -> bytes:
        """Return the header, with its sizes."""
        frame_bytes = _NUM_CHANNELS * _SAMPLE_BYTES
        data_bytes = self._total_samples * frame_bytes
        fmt = struct.pack(
            "<4sIHHIIHH",
            b"fmt ",
            16,
            _PCM,
            _NUM_CHANNELS,
            self._rate_hz,
            self._rate_hz * frame_bytes,
            frame_bytes,
            8 * _SAMPLE_BYTES,
        )
        fmt += riff_tags(self._tags)
        riff_bytes = len(b"WAVE") + len(fmt) + 8 + data_bytes
        if riff_bytes <= _MAX_WAV_BYTES:
            return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + fmt + struct.pack("<4sI", b"data", data_bytes)
        ds64_format = "<4sIQQQI"
        riff_bytes += struct.calcsize(ds64_format)
        ds64 = struct.pack(ds64_format, b"ds64", 28, riff_bytes, data_bytes, self._total_samples, 0)
        return struct.pack("<4sI4s", b"RF64", _SEE_DS64, b"WAVE") + ds64 + fmt + struct.pack("<4sI", b"data", _SEE_DS64)

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return the samples, low byte first."""
        return pcm.astype("<i2", copy=False).tobytes()

    def flush(self) -> Iterator[bytes]:
        """Yield nothing: a WAV file has no end."""
        yield from ()

    def discard(self) -> None:
        """Do nothing: there is nothing on any disk."""
