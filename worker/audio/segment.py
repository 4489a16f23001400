"""One segment's audio as it lies in S3: FLAC, mono, 16 bits. Knows nothing of texts or keys."""

from __future__ import annotations

import io
import os
import tempfile
from typing import Any, BinaryIO, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from worker.errors import AssemblyError, SynthesisError

CONTENT_TYPE: Final = "audio/flac"

#: What 1.0 becomes. One step below the end of the range, so that -1.0 and 1.0 are equally loud.
FULL_SCALE: Final = 32_767


def encode_segment(pcm: NDArray[np.floating[Any]], sample_rate_hz: int, *, comment: str | None = None) -> bytes:
    """Return a take as a FLAC file.

    Args:
        pcm: [num_samples], mono, -1 to 1; what lies outside is clipped.
        sample_rate_hz: samples per second.
        comment: kept in the file's metadata; `producer.flacfile.read_flac_comment` reads it.

    Raises:
        SynthesisError: the take is empty or holds values that are no numbers.
    """
    if pcm.size == 0:
        raise SynthesisError("the take holds no audio")
    if not np.isfinite(pcm).all():
        raise SynthesisError("the take holds values that are no numbers")
    samples = np.rint(np.clip(pcm, -1.0, 1.0) * FULL_SCALE).astype(np.int16)
    with _scratch_file() as file:
        # By its descriptor: an object of Python's would be called for each of fifty frames, with the GIL each time.
        with soundfile.SoundFile(
            file.fileno(), "w", sample_rate_hz, channels=1, format="FLAC", subtype="PCM_16", closefd=False
        ) as sound_file:
            if comment is not None:
                sound_file.comment = comment
            sound_file.write(samples)
        file.seek(0)
        return file.read()


def _scratch_file() -> BinaryIO:
    """Return an empty file in memory that has a descriptor; on systems without such, one that is on disk."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("segment"), "w+b")
    return tempfile.TemporaryFile()


def decode_segment(data: bytes) -> tuple[NDArray[np.int16], int]:
    """Return the samples of a FLAC file, [num_samples] int16, and its rate in Hz.

    Raises:
        AssemblyError: it is no mono FLAC file, or a broken one.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            samples = file.read(dtype="int16")
            num_samples, rate_hz = len(file), file.samplerate
    except soundfile.LibsndfileError as error:
        raise AssemblyError(f"a stored segment is no audio: {error.error_string}") from error
    if samples.ndim != 1:
        raise AssemblyError("a stored segment is not mono")
    if len(samples) != num_samples:  # libsndfile reads a file that was cut short without a complaint
        raise AssemblyError(f"a stored segment is cut short: {len(samples)} samples of {num_samples}")
    return samples, int(rate_hz)
