"""Files written as a stream: other programs read back what went in, to the sample."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from producer.contract.narration import AudioFormat
from worker.audio import Tags, open_writer
from worker.audio.wav import WavEncoding
from worker.errors import AssemblyError

RATE_HZ = 24_000


class WriteOnly:
    """Takes bytes and can do nothing else, like an upload."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def speech_like(num_samples: int, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    time_s = np.arange(num_samples) / rate_hz
    tone = np.sin(2 * np.pi * (200 + 300 * time_s) * time_s) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time_s))
    return (tone * 12_000).astype(np.int16)


def written(
    audio_format: AudioFormat, pcm: NDArray[np.int16], rate_hz: int = RATE_HZ, title: str | None = None
) -> bytes:
    sink = WriteOnly()
    writer = open_writer(audio_format, rate_hz, len(pcm), sink, tags=Tags(title=title))
    for start in range(0, len(pcm), 7_001):
        writer.write(pcm[start : start + 7_001])
    writer.close()
    return bytes(sink.data)


def played(data: bytes) -> tuple[NDArray[np.float64], int]:
    """Return what a player hears, as FFmpeg decodes it."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray().reshape(-1).astype(np.float64) for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    samples = np.concatenate(frames)
    return samples * (32_768 if np.abs(samples).max() <= 2 else 1), rate_hz


@pytest.mark.parametrize("num_samples", [1, 575, 576, 577, 24_000, 100_001])
@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC])
def test_wav_and_flac_give_back_every_sample(audio_format: AudioFormat, num_samples: int) -> None:
    pcm = speech_like(num_samples)
    samples, rate_hz = soundfile.read(io.BytesIO(written(audio_format, pcm)), dtype="int16")
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, pcm)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_mp3_is_as_long_as_what_went_in_at_every_rate(rate_hz: int) -> None:
    pcm = speech_like(3 * rate_hz + 123, rate_hz)
    samples, played_hz = played(written(AudioFormat.MP3, pcm, rate_hz))
    assert played_hz == rate_hz
    assert len(samples) == len(pcm)
    assert np.corrcoef(samples, pcm)[0, 1] > 0.99


@pytest.mark.parametrize("num_samples", [575, 576, 577, 1_152, 24_000, 24_001])
def test_mp3_is_as_long_as_what_went_in_at_every_length(num_samples: int) -> None:
    samples, _ = played(written(AudioFormat.MP3, speech_like(num_samples)))
    assert len(samples) == num_samples


def test_an_mp3_is_not_shifted_by_a_single_sample() -> None:
    pcm = speech_like(2 * RATE_HZ)
    samples, _ = played(written(AudioFormat.MP3, pcm))
    shifts = range(-3, 4)
    fits = [np.corrcoef(np.roll(samples, shift)[100:-100], pcm[100:-100])[0, 1] for shift in shifts]
    assert list(shifts)[int(np.argmax(fits))] == 0


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.FLAC, AudioFormat.WAV])
def test_players_see_title_and_duration(audio_format: AudioFormat) -> None:
    pcm = speech_like(5 * RATE_HZ)
    with av.open(io.BytesIO(written(audio_format, pcm, title="Der Leuchtturm, Teil ä"))) as container:
        metadata = {name.lower(): value for name, value in container.metadata.items()}
        assert metadata["title"] == "Der Leuchtturm, Teil ä"
        assert container.duration == pytest.approx(5_000_000, abs=100)
    assert len(played(written(audio_format, pcm, title="odd"))[0]) == len(pcm)


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_the_number_of_samples_has_to_be_as_announced(audio_format: AudioFormat) -> None:
    writer = open_writer(audio_format, RATE_HZ, 1_000, WriteOnly())
    writer.write(speech_like(999))
    with pytest.raises(AssemblyError, match="1 samples fewer"):
        writer.close()
    with pytest.raises(AssemblyError, match="1 samples more"):
        writer.write(speech_like(2))


def test_a_rate_that_mp3_does_not_know_is_refused() -> None:
    with pytest.raises(AssemblyError, match="24001 Hz"):
        open_writer(AudioFormat.MP3, 24_001, 10, WriteOnly())


def test_a_wav_of_more_than_four_gigabytes_has_64_bit_sizes() -> None:
    num_samples = 48 * 3_600 * RATE_HZ
    header = WavEncoding(RATE_HZ, num_samples).header()
    assert header[:4] == b"RF64"
    assert header[8:16] == b"WAVEds64"
    riff_bytes, data_bytes, samples = struct.unpack("<QQQ", header[20:44])
    assert (riff_bytes, data_bytes, samples) == (len(header) - 8 + 2 * num_samples, 2 * num_samples, num_samples)
