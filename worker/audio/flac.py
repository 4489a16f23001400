"""FLAC as a stream whose header tells its length. Knows nothing of segments."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.codec import PacketEncoder
from worker.audio.title import vorbis_title

#: FFmpeg's default; higher levels take twice the time for two percent of the size.
_COMPRESSION_LEVEL: Final = "5"

#: STREAMINFO (RFC 9639, 8.2) is 34 bytes; the number of samples is the last 36 of the 8 bytes that begin here.
_STREAMINFO_BYTES: Final = 34
_RATE_AND_LENGTH: Final = slice(10, 18)
_LENGTH_BITS: Final = 36
#: Set in the first byte of the last metadata block; STREAMINFO itself is of type 0.
_LAST_BLOCK: Final = 0x80


class FlacEncoding:
    """Mono, 16 bits."""

    def __init__(self, sample_rate_hz: int, total_samples: int, title: str | None = None) -> None:
        self._encoder = PacketEncoder("flac", "s16", sample_rate_hz, options={"compression_level": _COMPRESSION_LEVEL})
        self._total_samples = total_samples
        self._title = title

    def header(self) -> bytes:
        """Return the marker and STREAMINFO, with the length that the encoder leaves out; its MD5 stays unknown."""
        info = bytearray(self._encoder.extradata[-_STREAMINFO_BYTES:])
        length = self._total_samples if self._total_samples < 1 << _LENGTH_BITS else 0
        rate_and_length = int.from_bytes(info[_RATE_AND_LENGTH], "big") >> _LENGTH_BITS << _LENGTH_BITS | length
        info[_RATE_AND_LENGTH] = rate_and_length.to_bytes(8, "big")
        streaminfo = len(info).to_bytes(4, "big") + bytes(info)
        blocks = [streaminfo] if self._title is None else [streaminfo, vorbis_title(self._title)]
        blocks[-1] = bytes([blocks[-1][0] | _LAST_BLOCK]) + blocks[-1][1:]
        return b"fLaC" + b"".join(blocks)

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return the frames that these samples complete."""
        return self._encoder.encode(pcm)

    def flush(self) -> bytes:
        """Return the last frame."""
        return self._encoder.flush()
