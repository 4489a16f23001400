"""Reading and measuring recordings in a child process with limits: WAV, and FLAC, Ogg and MP3 where soundfile is.

Knows nothing of voices. The producer itself never loads a decoder.
"""

from __future__ import annotations

import array
import json
import math
import re
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from producer.decoderchild import UNDECODABLE
from producer.listening import Sound
from producer.wavfile import WavCodecError, WavError, write_wav

_CHILD: Final = Path(__file__).with_name("decoderchild.py")

#: Address space of the child. 120 s of stereo at 192 kHz are 92 MB, as mono 46, its file 25, Python and decoder 140.
_MAX_MEMORY_BYTES: Final = 512 * 1024 * 1024
#: Of the decoder, and once more as much for the measurements. A minute of speech takes a tenth of a second, what is
#: measured of it a fifth; of 120 s of stereo at 192 kHz both together take 2.1.
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


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recording that was read."""

    sample_rate_hz: int
    num_channels: int
    #: Samples of each channel.
    num_frames: int
    #: Mono, 16 bits; empty if the header went beyond a limit, or there are none.
    samples: array.array[int] = field(default_factory=lambda: array.array("h"))
    #: None if there are no samples.
    sound: Sound | None = None

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return self.num_frames / self.sample_rate_hz

    def wav(self) -> bytes:
        """Return the samples as a file."""
        return write_wav(self.samples, self.sample_rate_hz)


def decode(data: bytes, *, max_duration_s: int, max_rate_hz: int, max_channels: int) -> Decoded:
    """Return what is in a WAV file that `parse_wav` takes, or in a FLAC, Ogg or MP3 file.

    Of one of those whose header goes beyond a limit no sample is decoded.

    Raises:
        DecodeLimitError: the decoder came to its limits.
        WavError: it cannot be decoded.
    """
    output, status = _run_child(data, max_duration_s, max_rate_hz, max_channels)
    if status == UNDECODABLE:
        raise WavError("cannot be decoded")
    if status != 0:
        raise DecodeLimitError("takes a decoder more time or memory than it may have")
    line, _, body = output.partition(b"\n")
    samples = array.array("h", body[: len(body) - len(body) % 2])
    try:
        header = json.loads(line)
        decoded = Decoded(
            sample_rate_hz=int(header["sample_rate_hz"]),
            num_channels=int(header["num_channels"]),
            num_frames=int(header["num_frames"]),
            samples=samples,
            sound=_sound_of(header["sound"]) if samples else None,
        )
    except (ValueError, TypeError, LookupError, ArithmeticError):  # a decoder that was taken over writes what it likes
        raise DecodeLimitError("made its decoder write nonsense") from None
    is_whole = not samples or decoded.num_frames == len(samples)
    if not is_whole or decoded.sample_rate_hz < 1 or decoded.num_channels < 1:
        raise DecodeLimitError("made its decoder write nonsense")
    return decoded


def _sound_of(values: dict[str, float]) -> Sound:
    measured = {each.name: float(values[each.name]) for each in fields(Sound)}
    if not all(map(math.isfinite, measured.values())):
        raise ValueError
    return Sound(**measured)


def _run_child(data: bytes, max_duration_s: int, max_rate_hz: int, max_channels: int) -> tuple[bytes, int | None]:
    """Return what the child writes, up to what it may, and its exit status; there is no child when this returns."""
    max_output_bytes = _MAX_HEADER_BYTES + 2 * (max_duration_s + 1) * max_rate_hz
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
