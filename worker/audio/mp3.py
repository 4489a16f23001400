"""MP3 at a constant rate, with a first frame that tells players the exact length. Knows nothing of segments.

An mp3 encoder puts 1,105 samples in front of the sound and fills up the last frame. The tag of the first frame
says how much of both there is; players that read it (all that play without gaps) give back exactly the samples that
went in, so that offsets in the manifest hold. Others are 46 ms late, all through the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.codec import PacketEncoder
from worker.audio.id3 import id3_tag
from worker.audio.tags import NO_TAGS, Tags
from worker.errors import AssemblyError

#: Bits per second. Speech in mono at 24 kHz has nothing left to gain above it, and any player can do with it.
BIT_RATE: Final = 64_000

#: LAME's quality, 0 to 9: at 7 it leaves out the noise shaping that takes a third of the time at this rate and is
#: there for rates that are short of bits. Measured: level 5 107 x real time, level 7 156 x, level 9 164 x.
_COMPRESSION_LEVEL: Final = "7"

#: Samples that LAME's encoder adds in front, and those that every decoder adds to them.
_ENCODER_DELAY_SAMPLES: Final = 576
_DECODER_DELAY_SAMPLES: Final = 529
_DELAY_SAMPLES: Final = _ENCODER_DELAY_SAMPLES + _DECODER_DELAY_SAMPLES

#: Sample rate -> the two bits of a frame header for MPEG version and for the rate in it; MPEG-1, 2 and 2.5.
_RATE_CODES: Final = {
    44_100: (0b11, 0), 48_000: (0b11, 1), 32_000: (0b11, 2),
    22_050: (0b10, 0), 24_000: (0b10, 1), 16_000: (0b10, 2),
    11_025: (0b00, 0), 12_000: (0b00, 1), 8_000: (0b00, 2),
}  # fmt: skip
_MPEG_1: Final = 0b11
#: Place of 64 kbit/s in the tables of layer III: the fifth for MPEG-1, the eighth for the other two.
_BIT_RATE_CODES: Final = {0b11: 5, 0b10: 8, 0b00: 8}


class Mp3Encoding:
    """Mono, constant bit rate."""

    def __init__(self, sample_rate_hz: int, total_samples: int, tags: Tags = NO_TAGS) -> None:
        if sample_rate_hz not in _RATE_CODES:
            raise AssemblyError(f"mp3 has no sample rate of {sample_rate_hz} Hz")
        self._rate_hz = sample_rate_hz
        self._total_samples = total_samples
        self._tags = tags
        self._encoder = PacketEncoder(
            "libmp3lame",
            "s16p",
            sample_rate_hz,
            bit_rate=BIT_RATE,
            options={"compression_level": _COMPRESSION_LEVEL},
        )

    def header(self) -> bytes:
        """Return the tags and the first frame."""
        return id3_tag(self._tags, self._rate_hz, self._total_samples) + self._info_frame()

    def _info_frame(self) -> bytes:
        """Return a silent frame with the number of frames and of samples to leave out."""
        frame_samples = self._encoder.frame_samples
        num_frames = -(-self._total_samples // frame_samples) + -(-_DELAY_SAMPLES // frame_samples)
        padding_samples = num_frames * frame_samples - self._total_samples - _ENCODER_DELAY_SAMPLES
        version, rate_code = _RATE_CODES[self._rate_hz]
        frame_header = (
            0x7FF << 21  # synchronization
            | version << 19
            | 0b01 << 17  # layer III
            | 1 << 16  # no checksum
            | _BIT_RATE_CODES[version] << 12
            | rate_code << 10
            | 0b11 << 6  # mono
        )
        frame_bytes = frame_samples // 8 * BIT_RATE // self._rate_hz
        side_info_bytes = 17 if version == _MPEG_1 else 9
        tag = frame_header.to_bytes(4, "big") + bytes(side_info_bytes)
        tag += struct.pack(">4sII", b"Info", 0b1, num_frames) + _lame_tag(padding_samples)
        return tag.ljust(frame_bytes, b"\0")

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return the frames that these samples complete."""
        return b"".join(self._encoder.encode(pcm))

    def flush(self) -> Iterator[bytes]:
        """Yield the last frames."""
        yield from self._encoder.flush()

    def discard(self) -> None:
        """Do nothing: there is nothing on any disk."""


def _lame_tag(padding_samples: int) -> bytes:
    """Return what follows the number of frames: the encoder's name and, 12 bits each, the delay and the padding."""
    name_and_settings = b"LAME3.100".ljust(21, b"\0")
    return name_and_settings + (_ENCODER_DELAY_SAMPLES << 12 | padding_samples).to_bytes(3, "big") + bytes(12)
