"""Audio written as a stream, into a sink that can neither seek nor be read. Knows nothing of segments.

The length is known before the first sample, so headers that other programs go back for are right from the start. Only
an m4b has to know the size of every frame first: its writer fills a temporary file and gives out all at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.narration import AudioFormat
from worker.audio.flac import FlacEncoding
from worker.audio.m4b import M4bEncoding
from worker.audio.mp3 import Mp3Encoding
from worker.audio.opus import OpusEncoding
from worker.audio.tags import NO_TAGS, Tags
from worker.audio.wav import WavEncoding
from worker.errors import AssemblyError

_CONTENT_TYPES: Final = {
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OPUS: "audio/ogg",
    AudioFormat.M4B: "audio/mp4",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.WAV: "audio/wav",
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

    def flush(self) -> Iterator[bytes]:
        """Yield the rest, in blocks."""
        ...

    def discard(self) -> None:
        """Let go of what lies on a disk; may be called twice."""
        ...


class AudioWriter:
    """Writes mono 16-bit samples into a sink.

    Use it in a `with` block, which writes the rest, or after an error lets go of a temporary file at once.
    """

    def __init__(self, encoding: Encoding, sink: Sink, total_samples: int) -> None:
        self._encoding = encoding
        self._sink = sink
        self._left_samples = total_samples
        self._is_closed = False
        if header := encoding.header():
            sink.write(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._encoding.discard()

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Write samples, [num_samples] int16.

        Raises:
            AssemblyError: there are more than the header says.
            SpoolSpaceError: the disk is full.
        """
        self._left_samples -= len(pcm)
        if self._left_samples < 0:
            raise AssemblyError(f"{-self._left_samples} samples more than expected")
        if data := self._encoding.encode(pcm):
            self._sink.write(data)

    def close(self) -> None:
        """Write what the encoder still holds; leaves the sink open. A second call does nothing.

        Raises:
            AssemblyError: there are fewer samples than the header says.
            SpoolSpaceError: the disk is full.
        """
        if self._is_closed:
            return
        try:
            if self._left_samples:
                raise AssemblyError(f"{self._left_samples} samples fewer than expected")
            for data in self._encoding.flush():
                if data:
                    self._sink.write(data)
        finally:
            self._encoding.discard()
        self._is_closed = True


def content_type(audio_format: AudioFormat) -> str:
    """Return the media type of a format."""
    return _CONTENT_TYPES[audio_format]


def open_writer(
    audio_format: AudioFormat, sample_rate_hz: int, total_samples: int, sink: Sink, *, tags: Tags = NO_TAGS
) -> AudioWriter:
    """Return a writer of this format; writes the header at once, if the format has one in front.

    Raises:
        AssemblyError: the format does not know this sample rate, or the chapters do not fit the audio.
        InvalidCoverError: the cover is no JPEG or PNG file.
        SpoolSpaceError: there is no room for an m4b's temporary file.
    """
    kinds: dict[AudioFormat, type[WavEncoding | FlacEncoding | Mp3Encoding | OpusEncoding | M4bEncoding]] = {
        AudioFormat.MP3: Mp3Encoding,
        AudioFormat.OPUS: OpusEncoding,
        AudioFormat.M4B: M4bEncoding,
        AudioFormat.FLAC: FlacEncoding,
        AudioFormat.WAV: WavEncoding,
    }
    return AudioWriter(kinds[audio_format](sample_rate_hz, total_samples, tags), sink, total_samples)
