"""Reference audio on this machine's disk, fetched from S3 by its hash.

Knows nothing of how an engine uses it.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Final, Protocol

from producer.contract.errors import NotFoundError, OutputPathError
from producer.contract.keys import voice_audio_key
from producer.voicecheck import MAX_DURATION_S, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from producer.wavfile import plain_rate_hz
from worker.diskcache import DiskCache
from worker.engine.request import VoiceReference
from worker.errors import SynthesisError, VoiceDamagedError, VoiceMissingError

#: Bytes of reference audio kept on disk: two thousand voices of ten seconds.
MAX_CACHE_BYTES: Final = 1_000_000_000

#: Locks by which a voice is fetched once, however many segments ask for it at the same time.
_NUM_LOCKS: Final = 16


class Downloads(Protocol):
    """Where the audio comes from (`producer.storage.ObjectStore`)."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, which appears when it is whole."""
        ...


class VoiceShelf:
    """The reference audio that was used last. Safe for use from many threads and processes."""

    def __init__(self, store: Downloads, folder: Path, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._store = store
        self._files = DiskCache(folder, suffix=".wav", max_bytes=max_bytes)
        self._fetching = tuple(threading.Lock() for _ in range(_NUM_LOCKS))

    def reference(self, sha256: str) -> VoiceReference:
        """Return where a voice's audio will be; nothing is fetched."""
        return VoiceReference(sha256=sha256, path=self._files.path(sha256))

    def fetch(self, reference: VoiceReference) -> None:
        """Make sure that the audio is on disk.

        Raises:
            VoiceMissingError: it is not in S3 (any more).
            VoiceDamagedError: it is not what its name says, or not what `voices add` makes.
            SynthesisError: the disk cannot take it.
            StorageUnavailableError: S3 cannot be used.
        """
        # Not one lock for all: segments in a voice that is here must not wait for another one to be fetched.
        with self._fetching[hash(reference.sha256) % _NUM_LOCKS]:
            if self._files.touch(reference.path):
                return
            try:
                with self._files.writing(reference.path) as path:
                    self._store.download(voice_audio_key(reference.sha256), path)
                    if _sha256_of(path) != reference.sha256 or not _is_voice(path):
                        raise VoiceDamagedError(reference.sha256)
            except NotFoundError:
                raise VoiceMissingError(reference.sha256) from None
            except (OutputPathError, OSError) as error:  # of this machine, not of the narration: worth another attempt
                raise SynthesisError(f"the reference audio cannot be kept on this machine: {error}") from error


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_voice(path: Path) -> bool:
    """Say whether a file is a voice as producers store it: a plain header and samples, within the limits.

    An engine has it decoded by a library in this process, which must not meet a file that somebody made up.
    """
    if path.stat().st_size > 2 * MAX_SAMPLE_RATE_HZ * MAX_DURATION_S + 1_000:
        return False
    data = path.read_bytes()
    rate_hz = plain_rate_hz(data)
    if rate_hz is None or not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        return False
    return len(data) <= 2 * rate_hz * MAX_DURATION_S + 1_000
