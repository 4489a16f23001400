"""Audio written as a stream, into a sink that can neither seek nor be read. Knows nothing of segments.

The length is known before the first sample, so headers that other programs go back for are right from the start.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.narration import AudioFormat
from worker.audio.flac import FlacEncoding
from worker.audio.mp3 import Mp3Encoding
from worker.audio.tags import Tags
from worker.audio.wav import WavEncoding
from worker.errors import AssemblyError

NO_TAGS: Final = Tags()

_CONTENT_TYPES: Final = {
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.WAV: "audio/wav",
    AudioFormat.OPUS: "audio/ogg",
    AudioFormat.M4B: "audio/mp4",
}


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> Any:
        """Take bytes."""
        ...


class Encoding(Protocol):
    """One file format, as bytes that follow each other."""

    def header(self) -> bytes:
        """Return what comes before the first sample."""
        ...

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return what can be written of the samples given so far."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


class AudioWriter:
    """Writes mono 16-bit samples into a sink."""

    def __init__(self, encoding: Encoding, sink: Sink, total_samples: int) -> None:
        self._encoding = encoding
        self._sink = sink
        self._left_samples = total_samples
        sink.write(encoding.header())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Write samples, [num_samples] int16.

        Raises:
            AssemblyError: there are more than the header says.
        """
        self._left_samples -= len(pcm)
        if self._left_samples < 0:
            raise AssemblyError(f"{-self._left_samples} samples more than expected")
        if data := self._encoding.encode(pcm):
            self._sink.write(data)

    def close(self) -> None:
        """Write what the encoder still holds; leaves the sink open.

        Raises:
            AssemblyError: there are fewer samples than the header says.
        """
        if self._left_samples:
            raise AssemblyError(f"{self._left_samples} samples fewer than expected")
        if data := self._encoding.flush():
            self._sink.write(data)


def content_type(audio_format: AudioFormat) -> str:
    """Return the media type of a format."""
    return _CONTENT_TYPES[audio_format]


def open_writer(
    audio_format: AudioFormat, sample_rate_hz: int, total_samples: int, sink: Sink, *, tags: Tags = NO_TAGS
) -> AudioWriter:
    """Return a writer of this format; writes the header at once.

    Use it in a `with` block: on the way out it writes what is left, or lets go of its temporary file after an error.

    Raises:
        AssemblyError: the format does not know this sample rate.
    """
    kinds: dict[AudioFormat, type[WavEncoding] | type[FlacEncoding] | type[Mp3Encoding]] = {
        AudioFormat.MP3: Mp3Encoding,
        AudioFormat.FLAC: FlacEncoding,
        AudioFormat.WAV: WavEncoding,
    }
    return AudioWriter(kinds[audio_format](sample_rate_hz, total_samples, tags.title), sink, total_samples)
