"""Segments read from S3 ahead of the encoder, a few at a time. Knows nothing of pauses or formats."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from producer.contract.manifest import ManifestSegment
from producer.storage import ObjectNotFoundError, retrying
from worker.audio.segment import decode_segment
from worker.errors import AssemblyError

#: Segments that are on their way at once: hides the 10 ms of a GET behind the encoder.
NUM_READERS: Final = 4
#: Segments that are read and wait for the encoder. A segment is 1 MB at most, so this bounds the memory.
MAX_AHEAD: Final = 12
#: Seconds for which an S3 server may be away in the middle of an assembly.
READ_DEADLINE_S: Final = 30.0


class SegmentSource(Protocol):
    """Where the segments lie; `producer.storage.ObjectStore` is one."""

    def get(self, key: str) -> bytes:
        """Return a whole object; raises ObjectNotFoundError or StorageUnavailableError."""
        ...


def read_segments(
    source: SegmentSource, segments: Sequence[ManifestSegment], sample_rate_hz: int
) -> Generator[NDArray[np.int16] | AssemblyError]:
    """Yield each segment's samples in order, or what is wrong with the stored object.

    Raises:
        StorageUnavailableError: S3 stayed away.
    """
    with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="assembly") as readers:
        left = iter(segments)
        waiting: deque[Future[NDArray[np.int16] | AssemblyError]] = deque()
        try:
            while True:
                for segment in islice(left, MAX_AHEAD - len(waiting)):
                    waiting.append(readers.submit(_read, source, segment, sample_rate_hz))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(source: SegmentSource, segment: ManifestSegment, rate_hz: int) -> NDArray[np.int16] | AssemblyError:
    key = segment.key or ""
    try:
        data = retrying(lambda: source.get(key), deadline_s=READ_DEADLINE_S)
        samples, stored_rate_hz = decode_segment(data)
    except ObjectNotFoundError:
        return AssemblyError("its object is gone")
    except AssemblyError as error:
        return error
    if (len(samples), stored_rate_hz) != (segment.num_samples, rate_hz):
        return AssemblyError(
            f"its object holds {len(samples)} samples at {stored_rate_hz} Hz, not {segment.num_samples} at {rate_hz}"
        )
    return samples
