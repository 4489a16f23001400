"""Segments as FLAC files, as the synthesis needs them: encode a take, read a file.

Knows nothing of where the files are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.flacfile import read_flac_comment
from worker.audio import decode_segment, encode_segment
from worker.audio.segment import FULL_SCALE


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment's file, read."""

    #: [num_samples] float32, mono, -1 to 1.
    pcm: NDArray[np.float32]
    sample_rate_hz: int
    #: What was written beside the audio; None: nothing.
    comment: str | None


class SegmentCodec:
    """The codec of `worker.audio`, in the shape of `worker.narration.synthesis.Codec`."""

    def encode(self, pcm: NDArray[np.float32], sample_rate_hz: int, comment: str | None) -> bytes:
        """Return a take [num_samples] as a FLAC file with a comment."""
        return encode_segment(pcm, sample_rate_hz, comment=comment)

    def read(self, data: bytes) -> StoredSegment:
        """Return what is in a FLAC file, which is decoded to its end.

        Raises:
            AssemblyError: it is no audio, or cut short.
        """
        samples, sample_rate_hz = decode_segment(data)
        # By what the encoder multiplies with: written again, the samples are the same.
        pcm = np.divide(samples, FULL_SCALE, dtype=np.float32)
        return StoredSegment(pcm, sample_rate_hz, read_flac_comment(data))
