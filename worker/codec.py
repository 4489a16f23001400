"""Segments as FLAC files, as the synthesis needs them: encode a take, measure a file.

Knows nothing of where the files are kept.
"""

from __future__ import annotations

from worker.audio import decode_segment, encode_segment
from worker.engine.request import Take


class SegmentCodec:
    """The codec of `worker.audio`, in the shape of `worker.narration.synthesis.Codec`."""

    def encode(self, take: Take) -> bytes:
        """Return a take as a FLAC file."""
        return encode_segment(take.pcm, take.sample_rate_hz)

    def length(self, data: bytes) -> tuple[int, int]:
        """Return samples and samples per second of a FLAC file, which is decoded to its end.

        Raises:
            AssemblyError: it is no audio, or cut short.
        """
        pcm, sample_rate_hz = decode_segment(data)
        return len(pcm), sample_rate_hz
