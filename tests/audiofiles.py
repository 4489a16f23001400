"""Audio files made in memory, and how players hear them."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from producer.contract.narration import AudioFormat
from worker.audio import Tags, open_writer

RATE_HZ = 24_000


class WriteOnly:
    """Takes bytes and can do nothing else, like an upload."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.largest = 0

    def write(self, data: bytes) -> int:
        self.data += data
        self.largest = max(self.largest, len(data))
        return len(data)


def speech_like(num_samples: int, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    time_s = np.arange(num_samples) / rate_hz
    tone = np.sin(2 * np.pi * (200 + 300 * time_s) * time_s) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time_s))
    return (tone * 12_000).astype(np.int16)


def written(
    audio_format: AudioFormat, pcm: NDArray[np.int16], rate_hz: int = RATE_HZ, tags: Tags | None = None
) -> bytes:
    sink = WriteOnly()
    with open_writer(audio_format, rate_hz, len(pcm), sink, tags=tags or Tags()) as writer:
        for start in range(0, len(pcm), 7_001):
            writer.write(pcm[start : start + 7_001])
    return bytes(sink.data)


def played(data: bytes) -> tuple[NDArray[np.float64], int]:
    """Return what a player hears, as FFmpeg decodes it."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray().reshape(-1).astype(np.float64) for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    samples = np.concatenate(frames)
    return samples * (32_768 if np.abs(samples).max() <= 2 else 1), rate_hz


def seen(data: bytes) -> tuple[dict[str, str], list[tuple[float, float, str]], float]:
    """Return the tags, the chapters (begin and end in seconds, title) and the duration in seconds that FFmpeg shows."""
    with av.open(io.BytesIO(data)) as container:
        of_stream = container.streams.audio[0].metadata
        tags = {name.lower(): value for name, value in {**of_stream, **container.metadata}.items()}
        chapters: list[Any] = container.chapters()
        spans = [
            (
                float(each["start"] * each["time_base"]),
                float(each["end"] * each["time_base"]),
                each["metadata"]["title"],
            )
            for each in chapters
        ]
        return tags, spans, (container.duration or 0) / av.time_base


def shown_cover(data: bytes) -> tuple[str, int, int]:
    """Return the codec and the size of the picture that FFmpeg finds in an audio file, after decoding it."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(video=0))
        return stream.codec_context.name, frame.width, frame.height
