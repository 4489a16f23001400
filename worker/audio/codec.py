"""An encoder of FFmpeg's, fed with samples and giving packets, without any container around it.

FFmpeg's containers go back to their header at the end, which an upload cannot do; the formats here write their own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from worker.errors import AssemblyError

#: What FFmpeg takes for 1.0 when it turns samples of 16 bits into floating point.
_FULL_SCALE: Final = np.float32(32_768)


class PacketEncoder:
    """Takes samples as they come; each packet it returns is one coded frame."""

    def __init__(
        self, codec: str, sample_format: str, sample_rate_hz: int, *, bit_rate: int = 0, options: dict[str, str]
    ) -> None:
        self._rate_hz = sample_rate_hz
        self._sample_format = sample_format
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, AudioCodecContext)
        self._context = context
        self._context.sample_rate = sample_rate_hz
        self._context.layout = "mono"
        self._context.format = sample_format
        self._context.time_base = Fraction(1, sample_rate_hz)
        self._context.options = options
        if bit_rate:
            self._context.bit_rate = bit_rate
        try:
            self._context.open()
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AssemblyError(f"{codec} cannot be written at {sample_rate_hz} Hz: {reason}") from error
        self.frame_samples = int(self._context.frame_size)
        self._position = 0

    @property
    def extradata(self) -> bytes:
        """What the codec wants in the file's header."""
        return bytes(self._context.extradata or b"")

    def encode(self, pcm: NDArray[np.int16]) -> list[bytes]:
        """Return the packets that these samples complete, [num_samples] int16."""
        if not len(pcm):
            return []
        plane: NDArray[Any] = pcm[np.newaxis, :]
        if self._sample_format.startswith("flt"):
            plane = plane / _FULL_SCALE
        # However long it is: PyAV cuts it into the codec's frames, and keeps the rest for the next one.
        block = av.AudioFrame.from_ndarray(plane, format=self._sample_format, layout="mono")
        block.sample_rate = self._rate_hz
        block.time_base = Fraction(1, self._rate_hz)
        block.pts = self._position
        self._position += len(pcm)
        return [bytes(packet) for packet in self._context.encode(block)]

    def flush(self) -> list[bytes]:
        """Return the last packets."""
        return [bytes(packet) for packet in self._context.encode(None)]
