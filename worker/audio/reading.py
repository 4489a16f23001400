"""Segments read from S3 ahead of the encoder, a few at a time. Knows nothing of pauses or formats."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from producer.contract.manifest import TakeFacts
from producer.flacfile import read_flac_comment
from producer.storage import ObjectNotFoundError, retrying
from worker.audio.segment import decode_segment
from worker.audio.words import Words, words_in
from worker.errors import AssemblyError, SegmentsUnusableError

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


@dataclass(frozen=True, slots=True)
class StoredTake:
    """A take as its file holds it."""

    #: [num_samples].
    samples: NDArray[np.int16]
    #: When its words are said, in its own time; empty if that is not known.
    words: Words


def usable_takes(
    source: SegmentSource, takes: Mapping[int, TakeFacts], progress: Callable[[], None]
) -> Generator[tuple[int, StoredTake]]:
    """Yield the index and the content of every take, in the order of `takes`.

    After the first one that cannot be used nothing more is yielded, but all that cannot be used are found.

    Args:
        source: where they lie.
        takes: index -> take; all of one sample rate.
        progress: called after each one; what it raises ends the reading.

    Raises:
        SegmentsUnusableError: stored segments are gone or broken.
        StorageUnavailableError: S3 stayed away.
    """
    unusable: dict[int, AssemblyError] = {}
    with closing(_read_ahead(source, takes.values())) as stored_takes:
        for index, stored in zip(takes, stored_takes, strict=True):
            if isinstance(stored, AssemblyError):
                unusable[index] = stored
            elif not unusable:
                yield index, stored
            progress()
    if unusable:
        first = min(unusable)
        raise SegmentsUnusableError(f"stored segments cannot be used, {first}: {unusable[first]}", sorted(unusable))


def _read_ahead(source: SegmentSource, takes: Iterable[TakeFacts]) -> Generator[StoredTake | AssemblyError]:
    """Yield each take in order, or what is wrong with the stored object."""
    with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="assembly") as readers:
        left = iter(takes)
        waiting: deque[Future[StoredTake | AssemblyError]] = deque()
        try:
            while True:
                for take in islice(left, MAX_AHEAD - len(waiting)):
                    waiting.append(readers.submit(_read, source, take))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)


def _read(source: SegmentSource, take: TakeFacts) -> StoredTake | AssemblyError:
    try:
        data = retrying(lambda: source.get(take.key), deadline_s=READ_DEADLINE_S)
        samples, stored_rate_hz = decode_segment(data)
    except ObjectNotFoundError:
        return AssemblyError("its object is gone")
    except AssemblyError as error:
        return error
    found, expected = (len(samples), stored_rate_hz), (take.num_samples, take.sample_rate_hz)
    if found != expected:
        return AssemblyError("its object holds {} samples at {} Hz, not {} at {}".format(*found, *expected))
    return StoredTake(samples, words_in(read_flac_comment(data)))
