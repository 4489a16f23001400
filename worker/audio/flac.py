"""FLAC as a stream whose header tells its length. Knows nothing of segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.codec import PacketEncoder
from worker.audio.tags import NO_TAGS, Tags
from worker.audio.vorbis import comment_block, comments, picture_block

#: FFmpeg's default; higher levels take twice the time for two percent of the size.
_COMPRESSION_LEVEL: Final = "5"

#: STREAMINFO (RFC 9639, 8.2) is 34 bytes; the number of samples is the last 36 of the 8 bytes that begin here.
_STREAMINFO_BYTES: Final = 34
_RATE_AND_LENGTH: Final = slice(10, 18)
_LENGTH_BITS: Final = 36
#: Types of metadata blocks (8.1), and the bit that is set in the type of the last one.
_STREAMINFO: Final = 0
_VORBIS_COMMENT: Final = 4
_PICTURE: Final = 6
_LAST_BLOCK: Final = 0x80


class FlacEncoding:
    """Mono, 16 bits."""

    def __init__(self, sample_rate_hz: int, total_samples: int, tags: Tags = NO_TAGS) -> None:
        self._encoder = PacketEncoder("flac", "s16", sample_rate_hz, options={"compression_level": _COMPRESSION_LEVEL})
        self._rate_hz = sample_rate_hz
        self._total_samples = total_samples
        self._tags = tags

    def header(self) -> bytes:
        """Return the marker and STREAMINFO, with the length that the encoder leaves out; its MD5 stays unknown."""
        info = bytearray(self._encoder.extradata[-_STREAMINFO_BYTES:])
        length = self._total_samples if self._total_samples < 1 << _LENGTH_BITS else 0
        rate_and_length = int.from_bytes(info[_RATE_AND_LENGTH], "big") >> _LENGTH_BITS << _LENGTH_BITS | length
        info[_RATE_AND_LENGTH] = rate_and_length.to_bytes(8, "big")
        fields = comments(self._tags, self._rate_hz, self._total_samples)
        blocks = [(_STREAMINFO, bytes(info)), (_VORBIS_COMMENT, comment_block(fields))]
        if self._tags.cover is not None:
            blocks.append((_PICTURE, picture_block(self._tags.cover)))
        kinds = [kind for kind, _ in blocks]
        kinds[-1] |= _LAST_BLOCK
        return b"fLaC" + b"".join(
            bytes([kind]) + len(block).to_bytes(3, "big") + block
            for kind, (_, block) in zip(kinds, blocks, strict=True)
        )

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return the frames that these samples complete."""
        return b"".join(self._encoder.encode(pcm))

    def flush(self) -> Iterator[bytes]:
        """Yield the last frame."""
        yield from self._encoder.flush()

    def discard(self) -> None:
        """Do nothing: there is nothing on any disk."""
