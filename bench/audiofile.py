"""A finished audio file beside its manifest: does it open, is it as long, can every segment be heard in its place.

Reads one segment at a time, so a file may be of any length.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from producer.contract.manifest import Manifest, ManifestSegment

#: Peak above which there is sound: -46 dB, far below speech and the noise of random weights.
SOUND_PEAK: Final = 0.005
#: What a lossy codec may add or leave out over a whole file.
MAX_DIFFERENCE_S: Final = 0.1


def check_file(path: Path, manifest: Manifest) -> dict[str, Any]:
    """Return what is found in a file, in its own words what is wrong with it under `faults`.

    Raises:
        soundfile.LibsndfileError: it does not open or breaks off.
    """
    assert manifest.audio is not None
    with soundfile.SoundFile(path) as file:
        silent = [segment.index for segment in manifest.segments if not _is_heard(file, segment)]
        file_s = file.frames / file.samplerate
    layout_samples = sum(segment.num_samples + segment.pause_after_samples for segment in manifest.segments)
    layout_s = layout_samples / manifest.audio.sample_rate_hz
    faults = {
        "no such segments in the audio": [segment.index for segment in manifest.segments if not segment.is_present],
        "silent segments": silent,
        "size in bytes": [] if path.stat().st_size == manifest.audio.size_bytes else [path.stat().st_size],
        "length of the file": [] if abs(file_s - manifest.audio.duration_s) <= MAX_DIFFERENCE_S else [file_s],
        "length of all segments": [] if abs(file_s - layout_s) <= MAX_DIFFERENCE_S else [layout_s],
    }
    return {
        "file_s": round(file_s, 3),
        "manifest_s": round(manifest.audio.duration_s, 3),
        "size_bytes": manifest.audio.size_bytes,
        "num_segments": len(manifest.segments),
        "num_heard": len(manifest.segments) - len(silent),
        "faults": {name: found for name, found in faults.items() if found},
    }


def _is_heard(file: soundfile.SoundFile, segment: ManifestSegment) -> bool:
    # Forward only: what has no table of places to jump to would be searched for each of them.
    file.read(segment.offset_samples - file.tell(), dtype="int16")
    samples = file.read(segment.num_samples, dtype="float32")
    return len(samples) == segment.num_samples and bool(np.abs(samples).max(initial=0.0) > SOUND_PEAK)
