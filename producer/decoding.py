"""Reading FLAC, Ogg and MP3 recordings where soundfile is installed: in a child process with limits.

Knows nothing of voices. The producer itself never loads a decoder.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from producer.decoderchild import UNDECODABLE
from producer.wavfile import WavCodecError, WavError, WavFile, WavFormat

_CHILD: Final = Path(__file__).with_name("decoderchild.py")

#: Address space of the child. 120 s of stereo at 192 kHz are 92 MB, its file 50, Python and the decoder 120.
_MAX_MEMORY_BYTES: Final = 512 * 1024 * 1024
#: A minute of speech takes a tenth of a second.
_MAX_CPU_S: Final = 2
_TIMEOUT_S: Final = 10.0
#: Bytes of the line in front of the samples.
_MAX_HEADER_BYTES: Final = 1_000

#: FLAC, Ogg and MP3. Not everything that libsndfile reads: each format more is a decoder more that may have faults.
_MAGIC: Final = re.compile(rb"fLaC|OggS|ID3|\xff[\xe2-\xff]")

#: How the other kinds of sound files begin that people hand in.
_OTHER_MAGIC: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb".{4}ftyp", "an MP4 file (M4A, MOV)"),
        (rb"\x1aE\xdf\xa3", "a Matroska or WebM file"),
        (rb"FORM.{4}AIF", "an AIFF file"),
        (rb"\.snd|dns\.", "an AU file"),
        (rb"Creative Voice File", "a VOC file"),
        (rb"NIST_1A", "a NIST file"),
        (rb"\xf0\x7e.\x01", "a MIDI sample dump"),
        (rb"RF64|RIFX|riff\x2e\x91\xcf\x11", "a RIFF file of another kind than WAV"),
        (rb"caff", "a CAF file"),
        (rb"#!AMR", "an AMR file"),
        (rb"\x30\x26\xb2\x75", "a WMA file"),
        (rb"\x00\x00\x01[\xba\xb3]|FLV\x01", "a video"),
    )
)


class DecodeLimitError(WavError):
    """A decoder that crashed, or needed more time or memory than it may."""


def can_decode(data: bytes) -> bool:
    """Say whether a recording is of a format that can be decoded here."""
    return _MAGIC.match(data) is not None and find_spec("soundfile") is not None


def refuse_other_formats(data: bytes) -> None:
    """Refuse what is a sound file, but of a format that is not taken.

    Raises:
        WavCodecError: naming the format.
    """
    for magic, kind in _OTHER_MAGIC:
        if magic.match(data):
            raise WavCodecError(f"is {kind}, which is not taken")


def decode(data: bytes, *, max_duration_s: int, max_rate_hz: int, max_channels: int) -> WavFile:
    """Return the samples of a FLAC, Ogg or MP3 file; none of one whose header goes beyond a limit.

    Raises:
        DecodeLimitError: the decoder came to its limits.
        WavError: it cannot be decoded.
    """
    output, status = _run_child(data, max_duration_s, max_rate_hz, max_channels)
    if status == UNDECODABLE:
        raise WavError("cannot be decoded")
    if status != 0:
        raise DecodeLimitError("takes a decoder more time or memory than it may have")
    line, _, frames = output.partition(b"\n")
    try:
        header = json.loads(line)
        wav_format = WavFormat(int(header["sample_rate_hz"]), int(header["num_channels"]), sample_bits=16)
        # The header of an MP3 file estimates; what was decoded is known.
        num_frames = len(frames) // wav_format.frame_bytes if frames else int(header["num_frames"])
    except (ValueError, TypeError, LookupError, ArithmeticError):  # a decoder that was taken over writes what it likes
        raise DecodeLimitError("made its decoder write nonsense") from None
    return WavFile(wav_format, num_frames, memoryview(frames))


def _run_child(data: bytes, max_duration_s: int, max_rate_hz: int, max_channels: int) -> tuple[bytes, int | None]:
    """Return what the child writes, up to what it may, and its exit status; there is no child when this returns."""
    max_output_bytes = _MAX_HEADER_BYTES + 2 * max_duration_s * max_rate_hz * max_channels
    limits = map(str, (max_duration_s, max_rate_hz, max_channels, _MAX_MEMORY_BYTES, _MAX_CPU_S))
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        # -I: the file is from somebody else, and so may be the folder that we are in. No environment: it holds the
        # keys to S3. No descriptor but these three is inherited.
        with subprocess.Popen(
            [sys.executable, "-I", str(_CHILD), *limits],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        ) as child:
            timer = threading.Timer(_TIMEOUT_S, child.kill)
            timer.start()
            try:
                output = child.stdout.read(max_output_bytes + 1) if child.stdout is not None else b""
                return output, None if len(output) > max_output_bytes else child.wait()
            finally:
                timer.cancel()
                child.kill()
