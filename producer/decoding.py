"""Reading FLAC, Ogg and MP3 recordings where soundfile is installed: in a child process with limits.

Knows nothing of voices. The producer itself never loads a decoder.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from producer.wavfile import WavError, WavFile, WavFormat

_CHILD: Final = Path(__file__).with_name("decoderchild.py")

#: Far more than the longest recording needs: 120 s of stereo at 192 kHz are 92 MB.
_MAX_MEMORY_BYTES: Final = 1024 * 1024 * 1024
_MAX_CPU_S: Final = 10
_TIMEOUT_S: Final = 30.0


#: FLAC, Ogg and MP3. Not everything that libsndfile reads: each format more is a decoder more that may have faults.
_MAGIC: Final = re.compile(rb"fLaC|OggS|ID3|\xff[\xe2-\xff]")


def can_decode(data: bytes) -> bool:
    """Say whether a recording is of a format that can be decoded here."""
    return _MAGIC.match(data) is not None and find_spec("soundfile") is not None


def decode(data: bytes, *, max_samples: int) -> WavFile:
    """Return the samples of a FLAC, Ogg or MP3 file.

    Args:
        data: the file.
        max_samples: over all channels; a recording with more comes back without its samples.

    Raises:
        WavError: it cannot be decoded, or not within the limits.
    """
    limits = [str(max_samples), str(_MAX_MEMORY_BYTES), str(_MAX_CPU_S)]
    try:
        # -I: the file is from somebody else, and so may be the folder that we are in.
        child = subprocess.run(
            [sys.executable, "-I", str(_CHILD), *limits],
            input=data,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        raise WavError("cannot be decoded, or takes too much time or memory") from None
    line, _, frames = child.stdout.partition(b"\n")
    header = json.loads(line)
    wav_format = WavFormat(header["sample_rate_hz"], header["num_channels"], sample_bits=16)
    # The header of an MP3 file estimates; what was decoded is known.
    num_frames = len(frames) // wav_format.frame_bytes if frames else header["num_frames"]
    return WavFile(wav_format, num_frames, memoryview(frames))
