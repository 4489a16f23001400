"""Whether the stored segments are what the ledger and the manifests say of them. Each object is looked at once.

Knows nothing of narrations' states. The audio itself is decoded only where that is asked for and soundfile is there.
"""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from producer.contract.errors import SettingsError
from producer.extras import install_line
from producer.flacfile import HEADER_BYTES, read_flac_header
from producer.storage import ObjectNotFoundError, retrying

#: Objects that are read at once; a request takes ten milliseconds, nearly all of it waiting.
NUM_READERS: Final = 8

#: Seconds for which S3 may be away in the middle of an audit.
PATIENCE_S: Final = 10.0


class Source(Protocol):
    """Where the segments lie (`producer.storage.inventory.BucketInventory`)."""

    def get(self, key: str) -> bytes: ...  # noqa: D102

    def get_begin(self, key: str, num_bytes: int) -> bytes: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Sound:
    """How long a segment is: what a record says of it, or what its object holds."""

    num_samples: int
    sample_rate_hz: int

    def __str__(self) -> str:
        return f"{self.num_samples} samples at {self.sample_rate_hz} Hz"


class SegmentShelf:
    """Looks segments up and remembers what it saw."""

    def __init__(self, source: Source, *, is_decoding: bool) -> None:
        """Take the store.

        Raises:
            SettingsError: segments are to be decoded, and soundfile is not installed.
        """
        if is_decoding:
            _soundfile()
        self._source = source
        self._is_decoding = is_decoding
        #: Key -> what the object holds, or what is wrong with it.
        self._seen: dict[str, Sound | str] = {}

    @property
    def num_seen(self) -> int:
        """How many objects were looked at."""
        return len(self._seen)

    def faults(self, expected: Mapping[int, tuple[str, Sound]]) -> Iterator[tuple[int, str]]:
        """Yield (segment index, what is wrong) for each segment that is not what it should be.

        Args:
            expected: segment index -> its key and how long it should be.

        Raises:
            StorageUnavailableError: S3 cannot be used.
        """
        self._look(key for key, _ in expected.values())
        for index, (key, sound) in sorted(expected.items()):
            found = self._seen[key]
            if isinstance(found, str):
                yield index, f"its object {found}"
            elif found != sound:
                yield index, f"its object holds {found}, and {sound} are recorded"

    def _look(self, keys: Iterable[str]) -> None:
        new = sorted(set(keys) - self._seen.keys())
        with ThreadPoolExecutor(NUM_READERS, thread_name_prefix="audit") as readers:
            self._seen.update(zip(new, readers.map(self._examine, new), strict=True))

    def _examine(self, key: str) -> Sound | str:
        try:
            if self._is_decoding:
                return _decoded(retrying(lambda: self._source.get(key), deadline_s=PATIENCE_S))
            data = retrying(lambda: self._source.get_begin(key, HEADER_BYTES), deadline_s=PATIENCE_S)
        except ObjectNotFoundError:
            return "is gone"
        header = read_flac_header(data)
        return "is no FLAC file" if header is None else Sound(header.num_samples, header.sample_rate_hz)


def _soundfile() -> Any:
    """Return the module, which belongs to the worker's install and may be missing here.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        return importlib.import_module("soundfile")
    except ImportError:
        raise SettingsError([f"--decode needs soundfile: {install_line('worker')}"]) from None


def _decoded(data: bytes) -> Sound | str:
    """Return how long a FLAC file is when all of it is decoded, checked against the MD5 that it carries."""
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            samples = file.buffer_read(dtype="int16")
            length, rate_hz = len(file), int(file.samplerate)
    except soundfile.LibsndfileError as error:
        return f"does not decode: {error.error_string}"
    if len(samples) != 2 * length:
        return f"is cut short: {len(samples) // 2} samples of {length} decode"
    written = data[26:HEADER_BYTES]
    # The digest of the samples as little-endian integers, which is what this machine's int16 is; 0: not written.
    if any(written) and hashlib.md5(samples, usedforsecurity=False).digest() != written:
        return "decodes to other samples than were encoded"
    return Sound(length, rate_hz)
