"""One finished audio object on its way into S3: an encoder and an upload. Knows nothing of segments."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.manifest import AudioObject
from producer.contract.narration import AudioFormat
from producer.storage import MultipartUpload
from worker.audio.tags import Tags
from worker.audio.writer import content_type, open_writer


class UploadStore(Protocol):
    """Where the audio goes; `producer.storage.ObjectStore` is one."""

    def upload(self, key: str, content_type: str) -> MultipartUpload:
        """Return a write-only file that becomes an object when its `with` block ends well."""
        ...


class AudioFile:
    """A file of known length that becomes an object when its `with` block ends well, whole or not at all."""

    def __init__(
        self,
        store: UploadStore,
        key: str,
        *,
        audio_format: AudioFormat,
        sample_rate_hz: int,
        num_samples: int,
        tags: Tags,
    ) -> None:
        self._key = key
        self._format = audio_format
        self._rate_hz = sample_rate_hz
        self._num_samples = num_samples
        self._exit = ExitStack()
        with ExitStack() as opened:
            self._upload = opened.enter_context(store.upload(key, content_type(audio_format)))
            writer = open_writer(audio_format, sample_rate_hz, num_samples, self._upload, tags=tags)
            self._writer = opened.enter_context(writer)
            self._exit = opened.pop_all()

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Write samples, [num_samples] int16."""
        self._writer.write(pcm)

    def facts(self) -> AudioObject:
        """Return what was stored; after the `with` block."""
        return AudioObject(
            key=self._key,
            format=self._format.value,
            content_type=content_type(self._format),
            size_bytes=self._upload.size_bytes,
            sha256=self._upload.sha256,
            sample_rate_hz=self._rate_hz,
            num_samples=self._num_samples,
            duration_s=round(self._num_samples / self._rate_hz, 6),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)
