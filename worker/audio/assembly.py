"""The takes of a narration joined into one audio object. Knows nothing of the ledger.

Streams: from S3 through one encoder into one upload, so that ten hours take no more memory than ten minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from producer.contract.keys import audio_key
from producer.contract.manifest import AudioObject, ManifestSegment, TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from producer.storage import MultipartUpload
from worker.audio.layout import Layout, lay_out
from worker.audio.reading import SegmentSource, read_segments
from worker.audio.writer import AudioWriter, Sink, content_type, open_writer
from worker.errors import AssemblyError, SegmentsUnusableError

#: Milliseconds over which each segment swells and fades: a take that begins away from zero would click.
EDGE_FADE_MS: Final = 4


class AudioStore(SegmentSource, Protocol):
    """Where the segments lie and the audio goes; `producer.storage.ObjectStore` is one."""

    def upload(self, key: str, content_type: str) -> MultipartUpload:
        """Return a write-only file that becomes an object when its `with` block ends well."""
        ...


@dataclass(frozen=True, slots=True)
class Assembly:
    """What became of the takes."""

    #: None when there was no take at all.
    audio: AudioObject | None
    segments: tuple[ManifestSegment, ...]


def assemble(
    plan: Plan,
    takes: Mapping[int, TakeFacts],
    failures: Mapping[int, tuple[str, str]],
    attempts: Mapping[str, int],
    store: AudioStore,
    *,
    audio_format: AudioFormat,
    title: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Assembly:
    """Write a narration's audio into S3 and return where everything in it is.

    Segments that failed are left out and named. The object appears when it is whole; assembling again replaces it by
    the same bytes.

    Args:
        plan: the segments in order.
        takes: index -> its accepted take.
        failures: index -> code and reason, of segments without a take.
        attempts: item -> attempts, as the ledger counts them.
        store: where the segments are and the audio goes.
        audio_format: what to write.
        title: goes into the file for players to show.
        progress: called after each segment with the number written and the number to write; what it raises ends the
            assembly and leaves nothing behind.

    Raises:
        AssemblyError: a segment has not ended, or the sample rates differ.
        SegmentsUnusableError: stored segments are gone or broken; `indexes` have to be spoken again.
        StorageUnavailableError: S3 stayed away; nothing is visible, try again.
    """
    layout = lay_out(plan, takes, failures, attempts)
    if not layout.num_samples:
        return Assembly(None, layout.segments)
    key = audio_key(plan.narration_id, audio_format)
    media_type = content_type(audio_format)
    with store.upload(key, media_type) as upload:
        write_audio(layout, store, upload, audio_format=audio_format, title=title, progress=progress)
    audio = AudioObject(
        key=key,
        format=audio_format.value,
        content_type=media_type,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        sample_rate_hz=layout.sample_rate_hz,
        num_samples=layout.num_samples,
        duration_s=round(layout.num_samples / layout.sample_rate_hz, 6),
    )
    return Assembly(audio, layout.segments)


def write_audio(
    layout: Layout,
    source: SegmentSource,
    sink: Sink,
    *,
    audio_format: AudioFormat,
    title: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the audio of a layout into a sink.

    Raises:
        SegmentsUnusableError: as `assemble` says; so are the others.
    """
    present = [segment for segment in layout.segments if segment.is_present]
    writer = open_writer(audio_format, layout.sample_rate_hz, layout.num_samples, sink, title=title)
    unusable: dict[int, AssemblyError] = {}
    with closing(read_segments(source, present, layout.sample_rate_hz)) as samples_of_each:
        for number, (segment, samples) in enumerate(zip(present, samples_of_each, strict=True), start=1):
            if isinstance(samples, AssemblyError):
                unusable[segment.index] = samples
            elif not unusable:  # after the first one nothing more is written, but all that are unusable are found
                _write_segment(writer, samples, segment.pause_after_samples, layout.sample_rate_hz)
            if progress:
                progress(number, len(present))
    if unusable:
        first = min(unusable)
        raise SegmentsUnusableError(f"stored segments cannot be used, {first}: {unusable[first]}", sorted(unusable))
    writer.close()


def _write_segment(writer: AudioWriter, samples: NDArray[np.int16], pause: int, rate_hz: int) -> None:
    _fade_edges(samples, EDGE_FADE_MS * rate_hz // 1_000)
    writer.write(np.concatenate([samples, np.zeros(pause, np.int16)]))


def _fade_edges(samples: NDArray[np.int16], num_faded: int) -> None:
    """Fade the samples in and out, in place."""
    num_faded = min(num_faded, len(samples) // 2)
    ramp = np.arange(num_faded, dtype=np.float32) / max(num_faded, 1)
    samples[:num_faded] = np.rint(samples[:num_faded] * ramp)
    samples[len(samples) - num_faded :] = np.rint(samples[len(samples) - num_faded :] * ramp[::-1])
