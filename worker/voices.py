"""Reference audio on this machine's disk, fetched from S3 by its hash.

Knows nothing of how an engine uses it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import Final, Protocol

from producer.contract.errors import OutputPathError
from producer.contract.keys import voice_audio_key
from producer.recording import MAX_DURATION_S, MAX_RECORDING_BYTES, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from producer.wavfile import plain_rate_hz
from worker.engine.request import VoiceReference
from worker.errors import SynthesisError, VoiceDamagedError

logger = logging.getLogger(__name__)

#: Bytes of reference audio kept on disk: two thousand voices of ten seconds.
MAX_CACHE_BYTES: Final = 1_000_000_000


class Downloads(Protocol):
    """Where the audio comes from (`producer.storage.ObjectStore`)."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, which appears when it is whole."""
        ...


class VoiceShelf:
    """The reference audio that was used last. Safe for use from many threads and processes."""

    def __init__(self, store: Downloads, folder: Path, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._store = store
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def reference(self, sha256: str) -> VoiceReference:
        """Return where a voice's audio will be; nothing is fetched."""
        return VoiceReference(sha256=sha256, path=self._folder / f"{sha256}.wav")

    def fetch(self, reference: VoiceReference) -> None:
        """Make sure that the audio is on disk.

        Raises:
            ObjectNotFoundError: it is not in S3 (any more).
            VoiceDamagedError: it is not what its name says, or not what `voices add` makes.
            SynthesisError: the disk cannot take it.
            StorageUnavailableError: S3 cannot be used.
        """
        with self._lock:
            if reference.path.exists():
                reference.path.touch()  # used now: the last to be dropped
                return
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._store.download(voice_audio_key(reference.sha256), reference.path)
            except (OutputPathError, OSError) as error:  # of this machine, not of the narration: worth another attempt
                raise SynthesisError(f"the reference audio cannot be kept on this machine: {error}") from error
            if _sha256_of(reference.path) != reference.sha256 or not _is_voice(reference.path):
                reference.path.unlink()
                raise VoiceDamagedError(reference.sha256)
            self._shrink(keep=reference.path)

    def _shrink(self, keep: Path) -> None:
        """Remove what was not used for the longest time until the rest fits."""
        sizes = [(path, path.stat()) for path in self._folder.glob("*.wav")]
        num_bytes = 0
        for path, stat in sorted(sizes, key=lambda entry: entry[1].st_mtime, reverse=True):
            num_bytes += stat.st_size
            if num_bytes > self._max_bytes and path != keep:
                path.unlink(missing_ok=True)
                logger.info("voice_dropped", extra={"file": path.name})


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_voice(path: Path) -> bool:
    """Say whether a file is a voice as producers store it: a plain header and samples, within the limits.

    An engine has it decoded by a library in this process, which must not meet a file that somebody made up.
    """
    if path.stat().st_size > MAX_RECORDING_BYTES:
        return False
    data = path.read_bytes()
    rate_hz = plain_rate_hz(data)
    if rate_hz is None or not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        return False
    return len(data) <= 2 * rate_hz * MAX_DURATION_S + 1_000
