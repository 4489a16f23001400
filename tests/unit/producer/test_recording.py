"""Recordings that can be a voice, and those that are refused."""

from __future__ import annotations

import array
import io
import struct
import wave
from collections.abc import Callable, Sequence

import pytest
from speechlike import speechlike

from producer.contract.errors import InvalidVoiceError
from producer.recording import MAX_RECORDING_BYTES, Recording, read_recording
from producer.wavfile import parse_wav


def speech(duration_s: float, *, rate_hz: int = 16_000, peak: int = 10_000) -> list[int]:
    return list(speechlike(duration_s, rate_hz=rate_hz, peak=peak))


def wav(
    samples: Sequence[int], *, rate_hz: int = 16_000, bits: int = 16, channels: int = 1, encoding: int = 1
) -> bytes:
    """Return a WAV file of 16-bit samples, stored with `bits` bits."""
    body = b"".join((sample << (bits - 16)).to_bytes(bits // 8, "little", signed=True) for sample in samples)
    frame_bytes = channels * bits // 8
    header = struct.pack("<HHIIHH", encoding, channels, rate_hz, rate_hz * frame_bytes % 2**32, frame_bytes, bits)
    if encoding == 0xFFFE:
        header += struct.pack("<HHIH14s", 22, bits, 0, 1, b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71")
    chunks = struct.pack("<4sI", b"fmt ", len(header)) + header + struct.pack("<4sI", b"LIST", 3) + b"abc\0"
    chunks += struct.pack("<4sI", b"data", len(body)) + body
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


def samples_of(recording: Recording) -> list[int]:
    """Read the result with a reader that is not ours."""
    with wave.open(io.BytesIO(recording.wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert file.getframerate() == recording.sample_rate_hz
        return list(array.array("h", file.readframes(file.getnframes())))


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("encoding", [1, 0xFFFE])
def test_the_samples_stay_the_same_when_they_have_more_bits(bits: int, encoding: int):
    samples = speech(4)
    recording = read_recording(wav(samples, bits=bits, encoding=encoding))
    assert samples_of(recording) == samples
    assert (recording.duration_s, recording.sample_rate_hz, recording.warnings) == (4.0, 16_000, ())


def test_two_channels_become_their_mean():
    left = speech(4, peak=20_000)
    frames = [sample for value in left for sample in (value, 0)]
    assert samples_of(read_recording(wav(frames, channels=2))) == [value // 2 for value in left]


@pytest.mark.parametrize("block_bytes", [4, 64, 1 << 18])
def test_the_mean_of_two_channels_is_rounded_down_in_blocks_of_any_size(block_bytes, monkeypatch):
    monkeypatch.setattr("producer.wavfile._BLOCK_BYTES", block_bytes)
    extremes = [-32_768, 32_767, -1, 0, 1, -2, 12_345]
    pairs = [(left, right) for left in extremes for right in extremes]
    found = parse_wav(wav([sample for pair in pairs for sample in pair], channels=2)).mono()
    assert list(found) == [(left + right) // 2 for left, right in pairs]


def test_the_same_sound_has_the_same_hash_whatever_it_was_stored_as():
    samples = speech(4)
    assert read_recording(wav(samples)).sha256 == read_recording(wav(samples, bits=24)).sha256


def test_a_length_past_the_end_is_cut_when_a_recorder_was_interrupted():
    content = wav(speech(4))
    recording = read_recording(content[: len(content) // 2])
    assert 1.9 < recording.duration_s < 2.1


CASES = {
    "nothing": (b"", "audio_empty"),
    "text": (b"Hello, this is no audio at all.", "audio_format"),
    "cut header": (wav(speech(4))[:30], "audio_format"),
    "no samples": (wav([]), "audio_too_short"),
    "ADPCM": (wav(speech(4), encoding=0x11), "audio_codec"),
    "float": (wav(speech(4), bits=32, encoding=3), "audio_codec"),
    "no channels": (wav(speech(4), channels=0), "audio_format"),
    "rate of 0": (wav(speech(4), rate_hz=0), "audio_format"),
    "rate too low": (wav(speech(4), rate_hz=4_000), "audio_rate"),
    "rate too high": (wav(speech(4), rate_hz=2**32 - 1), "audio_rate"),
    "many channels": (wav(speech(4), channels=8), "audio_channels"),
    "too short": (wav(speech(0.2)), "audio_too_short"),
    "too long": (wav([1] * 8_000 * 121, rate_hz=8_000), "audio_too_long"),
    "silence": (wav([0] * 32_000), "audio_silent"),
    "near silence": (wav(speech(4, peak=50)), "audio_silent"),
    "too large": (b"RIFF" + bytes(MAX_RECORDING_BYTES), "audio_size"),
    "mp3": (b"ID3\x04\x00\x00\x00\x00\x00\x00", "audio_format"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_recording_is_refused_by_name(case: str):
    content, code = CASES[case]
    with pytest.raises(InvalidVoiceError) as caught:
        read_recording(content)
    assert [fault.code for fault in caught.value.faults] == [code]


def encoded(samples: Sequence[int], container: str, *, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    soundfile = pytest.importorskip("soundfile")
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate_hz, channels, format=container) as file:
        file.buffer_write(array.array("h", samples).tobytes(), dtype="int16")
    return buffer.getvalue()


def test_flac_is_taken_where_soundfile_is_installed():
    samples = speech(4)
    assert read_recording(encoded(samples, "FLAC")).sha256 == read_recording(wav(samples)).sha256


@pytest.mark.parametrize("container", ["OGG", "MP3"])
def test_lossy_formats_are_taken_where_soundfile_is_installed(container: str):
    recording = read_recording(encoded(speech(4), container))
    assert recording.duration_s == pytest.approx(4, abs=0.2)
    assert len(samples_of(recording)) == round(recording.duration_s * 16_000)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda: encoded([0] * 8_000 * 3600, "FLAC", rate_hz=8_000), "audio_too_long"),
        (lambda: encoded(speech(4) * 8, "FLAC", channels=8), "audio_channels"),
        (lambda: encoded(speech(4), "FLAC", rate_hz=4_000), "audio_rate"),
        (lambda: encoded(speech(4), "FLAC")[:100], "audio_format"),
        (lambda: b"fLaC" + bytes(1000), "audio_format"),
        (lambda: encoded(speech(4), "AIFF"), "audio_codec"),
    ],
    ids=["an hour", "channels", "rate", "cut", "zeros", "AIFF"],
)
def test_an_encoded_recording_is_refused_by_name(content: Callable[[], bytes], code: str):
    with pytest.raises(InvalidVoiceError) as caught:
        read_recording(content())
    assert [fault.code for fault in caught.value.faults] == [code]


def test_encoded_recordings_are_refused_where_soundfile_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("producer.decoding.find_spec", lambda name: None)
    with pytest.raises(InvalidVoiceError, match="a WAV file with 16-bit PCM is always taken"):
        read_recording(encoded(speech(4), "FLAC"))
