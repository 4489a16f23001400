"""Recordings that were made to do harm: each is refused by name, and decoded in a child with limits if at all.

The files are made here. What is said of a decoder is asked of a real child process.
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from processes import descendants, is_alive
from speechlike import speechlike

import producer.decoderchild
from producer import decoding
from producer.contract.errors import InvalidVoiceError
from producer.decoding import DecodeLimitError, decode
from producer.listening import Sound
from producer.recording import read_recording

soundfile = pytest.importorskip("soundfile")

RATE_HZ = 16_000
LIMITS = {"max_duration_s": 1, "max_rate_hz": 500_000, "max_channels": 1}


def encoded(container: str, duration_s: float = 2.0, *, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    samples = speechlike(duration_s, rate_hz=rate_hz).tobytes()
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate_hz, channels, format=container, subtype=None) as file:
        file.buffer_write(samples * channels, dtype="int16")
    return buffer.getvalue()


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def wav(
    encoding: int, *, channels: int = 1, rate_hz: int = RATE_HZ, bits: int = 16, align: int = 2, extra: bytes = b""
):
    header = struct.pack("<HHIIHH", encoding, channels, rate_hz, rate_hz * align % 2**32, align, bits) + extra
    return riff((b"fmt ", header), (b"data", bytes(64_000)))


def flac_that_says(*, rate_hz: int, channels: int, num_frames: int) -> bytes:
    """Return a FLAC file with one second of sound whose header says something else."""
    data = bytearray(encoded("FLAC", 1.0))
    low = (rate_hz << 44) | ((channels - 1) << 41) | (15 << 36) | num_frames
    data[18:26] = low.to_bytes(8, "big")
    return bytes(data)


def ogg_of_two_rates() -> bytes:
    return encoded("OGG", 2.0) + encoded("OGG", 2.0, rate_hz=8_000)


def mp3_with_a_picture() -> bytes:
    """Return two seconds of sound behind 40 MB of picture."""
    size = 40_000_000
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    frame = b"APIC" + struct.pack(">I", size - 20) + b"\0\0"
    return b"ID3\x03\0\0" + synchsafe + frame + bytes(size - len(frame)) + encoded("MP3")


NAN, INF = struct.pack("<f", math.nan), struct.pack("<f", math.inf)

#: What is handed in, and the codes of which one it has to be refused with; None among them: it may be taken.
CASES: dict[str, tuple[Callable[[], bytes], set[str | None]]] = {
    "nothing": (lambda: b"", {"audio_empty"}),
    "a text": (lambda: b"RIFF is a word, and this is no recording.", {"audio_format"}),
    "30 bytes of header": (lambda: wav(1)[:30], {"audio_format"}),
    "a header chunk of 4 GB": (lambda: b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + bytes(40), {"audio_codec"}),
    "10,000 chunks and no sound": (lambda: riff(*[(b"junk", b"x" * 3)] * 10_000), {"audio_format"}),
    "a rate of 0": (lambda: wav(1, rate_hz=0), {"audio_format"}),
    "a rate of 1 Hz": (lambda: wav(1, rate_hz=1), {"audio_rate"}),
    "a rate of 4 GHz": (lambda: wav(1, rate_hz=2**32 - 1), {"audio_rate"}),
    "no channels": (lambda: wav(1, channels=0), {"audio_format"}),
    "1,024 channels": (lambda: wav(1, channels=1_024), {"audio_channels"}),
    "65,535 channels": (lambda: wav(1, channels=65_535), {"audio_channels"}),
    "floats that are no numbers": (
        lambda: riff((b"fmt ", struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)), (b"data", NAN * 9_000 + INF)),
        {"audio_codec"},
    ),
    "ADPCM with huge blocks": (
        lambda: wav(0x11, bits=4, align=65_535, extra=struct.pack("<HH", 2, 50_000)),
        {"audio_codec"},
    ),
    "MP3 inside of WAV": (lambda: wav(0x55, bits=0, align=1), {"audio_codec"}),
    "a header and no samples": (lambda: wav(1)[:44], {"audio_too_short"}),
    "a second of silence": (lambda: wav(1), {"audio_silent"}),
    "a fifth of a second": (lambda: wav(1)[: 44 + 6_400], {"audio_too_short"}),
    "an hour in FLAC": (
        lambda: flac_that_says(rate_hz=8_000, channels=1, num_frames=28_800_000),
        {"audio_too_long"},
    ),
    "a year in FLAC": (lambda: flac_that_says(rate_hz=8_000, channels=1, num_frames=2**36 - 1), {"audio_too_long"}),
    "a length that nobody knows": (
        lambda: flac_that_says(rate_hz=RATE_HZ, channels=1, num_frames=0),
        {"audio_too_long", "audio_too_short", "audio_format", None},
    ),
    "FLAC of 655,350 Hz": (lambda: flac_that_says(rate_hz=655_350, channels=8, num_frames=16_000), {"audio_rate"}),
    "FLAC of 8 channels": (lambda: encoded("FLAC", 4.0, channels=8), {"audio_channels"}),
    "a picture of 40 MB": (mp3_with_a_picture, {"audio_size"}),
    "a tag that goes past the end": (lambda: b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(1_000), {"audio_format"}),
    "two rates in one Ogg file": (ogg_of_two_rates, {"audio_format", None}),
    "Ogg without its end": (lambda: encoded("OGG")[:600], {"audio_format"}),
    "MP4": (lambda: b"\0\0\0\x20ftypM4A " + bytes(100), {"audio_codec"}),
    "Matroska": (lambda: b"\x1aE\xdf\xa3" + bytes(100), {"audio_codec"}),
    "AIFF": (lambda: encoded("AIFF"), {"audio_codec"}),
    "AU": (lambda: encoded("AU"), {"audio_codec"}),
    "VOC": (lambda: encoded("VOC"), {"audio_codec"}),
    "SDS": (lambda: encoded("SDS"), {"audio_codec"}),
    "NIST": (lambda: encoded("NIST"), {"audio_codec"}),
    "CAF": (lambda: encoded("CAF"), {"audio_codec"}),
    "RF64": (lambda: encoded("RF64"), {"audio_codec"}),
    "an HLS playlist": (lambda: b"#EXTM3U\n#EXTINF:9,\nhttp://169.254.169.254/latest/meta-data/\n", {"audio_format"}),
    "a zip archive": (lambda: b"PK\x03\x04" + bytes(100), {"audio_format"}),
    "50 MB": (lambda: b"fLaC" + bytes(50_000_000), {"audio_size"}),
}


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = set(descendants(os.getpid()))
    yield
    assert [pid for pid in descendants(os.getpid()) if pid not in before and is_alive(pid)] == []


def code_of(data: bytes) -> str | None:
    """Return the code that a recording is refused with; None: it was taken."""
    try:
        recording = read_recording(data)
    except InvalidVoiceError as error:
        (fault,) = error.faults
        return fault.code
    assert recording.duration_s < 10
    return None


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_recording_ends_by_name(case: str) -> None:
    make, codes = CASES[case]
    assert code_of(make()) in codes


@pytest.mark.parametrize("container", ["FLAC", "OGG", "MP3"])
def test_a_damaged_recording_is_taken_or_refused_and_nothing_else(container: str) -> None:
    whole = encoded(container, 1.5)
    dice = random.Random(zlib.crc32(container.encode()))
    for _ in range(4):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 40)):
            data[dice.randrange(4, len(data))] = dice.randrange(256)
        code = code_of(bytes(data))
        assert code is None or code.startswith("audio_")


def child_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Have the decoder replaced by a script that has the decoder's limits and does what a decoder must not."""
    child = tmp_path / "child.py"
    source = Path(producer.decoderchild.__file__).parent
    limit = f"decoderchild.limit_process({decoding._MAX_MEMORY_BYTES}, 1)"
    imports = "import fcntl, json, math, os, resource, socket, sys"
    imports += f"\nSOUND = {[field.name for field in fields(Sound)]}"
    imports += (
        '\nHEADER = {"sample_rate_hz": 8000, "num_channels": 1, "num_frames": 2, "sound": dict.fromkeys(SOUND, 0.0)}'
    )
    child.write_text(f"{imports}\nsys.path.insert(0, {str(source)!r})\nimport decoderchild\n{limit}\n{script}\n")
    monkeypatch.setattr(decoding, "_CHILD", child)


EVIL = {
    "spins": "while True: pass",
    "eats memory": "bytearray(600_000_000)",
    "crashes": "os.kill(os.getpid(), 11)",
    "opens a file": "open('/etc/passwd')",
    "makes a socket": "socket.socket()",
    "makes a pipe": "os.pipe()",
    "writes without end": "while True: sys.stdout.buffer.write(bytes(1_000_000))",
    "writes no header": "print('hello')",
    "writes a header of lists": """print('{"sample_rate_hz": [], "num_channels": 1, "num_frames": 1}')""",
    "writes a header without end": "print('[' * 900)",
    "says that there are no channels": (
        """print('{"sample_rate_hz": 8000, "num_channels": 0, "num_frames": 1}\\nabcd')"""
    ),
    "says another length": ("""print(json.dumps({**HEADER, "num_frames": 9_000_000}) + "\\nabcd", end="")"""),
    "measures what is no number": (
        """print(json.dumps({**HEADER, "sound": dict.fromkeys(SOUND, math.nan)}) + "\\nabcd", end="")"""
    ),
}


@pytest.mark.parametrize("deed", EVIL)
def test_a_decoder_that_was_taken_over_gets_nowhere(deed: str, monkeypatch, tmp_path) -> None:
    child_that_runs(monkeypatch, tmp_path, EVIL[deed])
    with pytest.raises(DecodeLimitError):
        decode(b"fLaC", **LIMITS)


def test_a_recording_whose_decoder_came_to_its_limits_is_refused_by_name(monkeypatch, tmp_path) -> None:
    child_that_runs(monkeypatch, tmp_path, EVIL["spins"])
    with pytest.raises(InvalidVoiceError) as caught:
        read_recording(b"fLaC" + bytes(100))
    assert [fault.code for fault in caught.value.faults] == ["audio_decode_limit"]


def test_a_decoder_that_waits_without_working_is_ended(monkeypatch, tmp_path) -> None:
    child_that_runs(monkeypatch, tmp_path, "import time; time.sleep(600)")
    monkeypatch.setattr(decoding, "_TIMEOUT_S", 0.5)
    with pytest.raises(DecodeLimitError):
        decode(b"fLaC", **LIMITS)


def test_a_decoder_has_no_environment_no_descriptors_and_all_limits(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for a decoder")
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    child_that_runs(
        monkeypatch,
        tmp_path,
        """
def is_open(number):
    try:
        return fcntl.fcntl(number, fcntl.F_GETFD) >= 0
    except OSError:
        return False

kinds = ("AS", "CPU", "CORE", "FSIZE", "NOFILE", "NPROC")
facts = {
    "fds": [number for number in range(64) if is_open(number)],
    "environment": sorted(set(os.environ) - {"LC_CTYPE"}),
    "folder": os.getcwd(),
    "limits": {kind: resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in kinds},
}
said = json.dumps(facts)
said += " " * (len(said) % 2)
print(json.dumps({**HEADER, "num_frames": len(said) // 2}) + "\\n" + said, end="")
""",
    )
    facts = json.loads(decode(b"fLaC", **LIMITS).samples.tobytes())
    os.close(read_end)
    os.close(write_end)
    assert facts == {
        "fds": [0, 1, 2],
        "environment": [],
        "folder": "/",
        "limits": {
            "AS": [decoding._MAX_MEMORY_BYTES] * 2,
            "CPU": [1, 2],
            **{kind: [0, 0] for kind in ("CORE", "FSIZE", "NOFILE", "NPROC")},
        },
    }


def test_no_decoder_is_loaded_into_the_producer() -> None:
    """A recording is decoded in a child also where the parent could do it."""
    script = (
        "import sys; from producer.recording import read_recording\n"
        "read_recording(sys.stdin.buffer.read()); print('soundfile' in sys.modules)"
    )
    root = Path(producer.decoderchild.__file__).parent.parent
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=root, input=encoded("FLAC"), capture_output=True, check=True
    )
    assert said.stdout == b"False\n"
