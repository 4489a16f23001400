"""Reading PCM out of a WAV file and writing it back as mono 16-bit, with the standard library alone.

Knows nothing of voices. The header is read by hand because `wave` knows no WAVE_FORMAT_EXTENSIBLE before
Python 3.12 and `audioop`, which would convert, is gone since 3.13.
"""

from __future__ import annotations

import array
import struct
import sys
from dataclasses import dataclass
from typing import Final

_PCM: Final = 1
_EXTENSIBLE: Final = 0xFFFE
_SAMPLE_BITS: Final = (16, 24, 32)

_PLAIN_HEADER_BYTES: Final = 44

#: Bytes of stereo that are averaged at once: some of each block's copies stay in the processor's cache.
_BLOCK_BYTES: Final = 1 << 18


class WavError(Exception):
    """Bytes that are no WAV file of PCM samples. Argument: a sentence."""


class WavCodecError(WavError):
    """A sound file, but of an encoding that is not taken."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the header of a WAV file says."""

    sample_rate_hz: int
    num_channels: int
    sample_bits: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.num_channels * self.sample_bits // 8


@dataclass(frozen=True, slots=True)
class WavFile:
    """Samples that were not touched yet, and what is known of them."""

    format: WavFormat
    #: Samples of each channel.
    num_frames: int
    #: The samples as they lie in the file, whole frames only.
    frames: memoryview

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return self.num_frames / self.format.sample_rate_hz

    def mono(self) -> array.array[int]:
        """Return the samples as 16-bit integers: the upper 16 bits of each, the mean of all channels."""
        samples = self._upper_16_bits()
        num_channels = self.format.num_channels
        if num_channels == 1:
            return samples
        if num_channels == 2:
            return _mean_of_two(samples)
        channels = [samples[channel::num_channels] for channel in range(num_channels)]
        return array.array("h", (sum(frame) // num_channels for frame in zip(*channels, strict=True)))

    def _upper_16_bits(self) -> array.array[int]:
        samples = array.array("h")
        sample_bytes = self.format.sample_bits // 8
        if sample_bytes == 2:
            samples.frombytes(self.frames)
            if sys.byteorder == "big":
                samples.byteswap()
            return samples
        raw = bytearray(2 * (len(self.frames) // sample_bytes))
        raw[0::2] = bytes(self.frames[sample_bytes - 2 :: sample_bytes])
        raw[1::2] = bytes(self.frames[sample_bytes - 1 :: sample_bytes])
        samples.frombytes(raw)
        if sys.byteorder == "big":
            samples.byteswap()
        return samples


def _mean_of_two(samples: array.array[int]) -> array.array[int]:
    """Return the mean of each pair of samples, rounded down.

    Two minutes of stereo are 46 million samples, half a minute's work one by one. Here a block of them is one large
    number: 32 bits hold a pair, so that all pairs are added, and halved, at once.
    """
    pairs = memoryview(samples).cast("B")
    means = array.array("h")
    for at in range(0, len(pairs), _BLOCK_BYTES):
        block = pairs[at : at + _BLOCK_BYTES]
        num_pairs = len(block) // 4
        lower = int.from_bytes(b"\xff\xff\x00\x00" * num_pairs, "little")
        # Turning the sign bit over adds 32,768, so that no sum is negative and none borrows from its neighbour.
        offset = int.from_bytes(b"\x00\x80" * (2 * num_pairs), "little")
        both = int.from_bytes(block, sys.byteorder) ^ offset
        mean = ((((both & lower) + ((both >> 16) & lower)) >> 1) & lower) ^ (offset & lower)
        wide = array.array("H", mean.to_bytes(len(block), sys.byteorder))
        means.frombytes((wide[0::2] if sys.byteorder == "little" else wide[1::2]).tobytes())
    return means


def parse_wav(data: bytes) -> WavFile:
    """Return the samples of a WAV file.

    A length in the header that goes past the end of the file, as interrupted recorders leave it, is cut.

    Raises:
        WavCodecError: it is of another encoding than PCM with 16, 24 or 32 bits.
        WavError: it is none.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("is not a WAV file")
    wav_format: WavFormat | None = None
    at = 12
    while at + 8 <= len(data):
        name, size_bytes = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"fmt ":
            wav_format = _parse_format(data[at : at + size_bytes])
        elif name == b"data":
            if wav_format is None:
                raise WavError("has its samples before their format")
            size_bytes = min(size_bytes, len(data) - at)
            size_bytes -= size_bytes % wav_format.frame_bytes
            return WavFile(wav_format, size_bytes // wav_format.frame_bytes, memoryview(data)[at : at + size_bytes])
        at += size_bytes + size_bytes % 2
    raise WavError("ends before its samples begin")


def _parse_format(chunk: bytes) -> WavFormat:
    if len(chunk) < 16:
        raise WavError("ends inside its header")
    encoding, num_channels, sample_rate_hz, _, _, sample_bits = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        (encoding,) = struct.unpack_from("<H", chunk, 24)
    if encoding != _PCM or sample_bits not in _SAMPLE_BITS:
        raise WavCodecError(
            f"is a WAV file, but not PCM with 16, 24 or 32 bits (encoding {encoding}, {sample_bits} bits)"
        )
    if num_channels == 0 or sample_rate_hz == 0:
        raise WavError("has no channels or no sample rate")
    return WavFormat(sample_rate_hz, num_channels, sample_bits)


def write_wav(samples: array.array[int], sample_rate_hz: int) -> bytes:
    """Return mono 16-bit samples as a WAV file; equal samples give equal bytes."""
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    body = samples.tobytes()
    return _plain_header(len(body), sample_rate_hz) + body


def plain_rate_hz(data: bytes) -> int | None:
    """Return the rate of a file that is exactly what `write_wav` makes; None for every other, harmless or not."""
    if len(data) < _PLAIN_HEADER_BYTES or len(data) % 2:
        return None
    (rate_hz,) = struct.unpack_from("<I", data, 24)
    header = _plain_header(len(data) - _PLAIN_HEADER_BYTES, rate_hz) if rate_hz < 2**31 else b""
    return rate_hz if data.startswith(header) and header else None


def _plain_header(num_bytes: int, rate_hz: int) -> bytes:
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + num_bytes, b"WAVE", b"fmt ", 16, _PCM, 1, rate_hz,
                       2 * rate_hz, 2, 16, b"data", num_bytes)  # fmt: skip
