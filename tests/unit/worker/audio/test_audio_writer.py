"""Files written as a stream: other programs read back what went in, to the sample."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from audiofiles import RATE_HZ, WriteOnly, played, seen, speech_like, written

from producer.contract.narration import AudioFormat
from worker.audio import open_writer
from worker.audio.wav import WavEncoding
from worker.errors import AssemblyError

ALL = list(AudioFormat)


@pytest.mark.parametrize("num_samples", [1, 575, 576, 577, 24_000, 100_001])
@pytest.mark.parametrize("audio_format", [AudioFormat.WAV, AudioFormat.FLAC])
def test_wav_and_flac_give_back_every_sample(audio_format: AudioFormat, num_samples: int) -> None:
    pcm = speech_like(num_samples)
    samples, rate_hz = soundfile.read(io.BytesIO(written(audio_format, pcm)), dtype="int16")
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, pcm)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.M4B])
def test_what_is_played_is_as_long_as_what_went_in_at_every_rate(audio_format: AudioFormat, rate_hz: int) -> None:
    pcm = speech_like(3 * rate_hz + 123, rate_hz)
    samples, played_hz = played(written(audio_format, pcm, rate_hz))
    assert played_hz == rate_hz
    assert len(samples) == len(pcm)
    assert np.corrcoef(samples, pcm)[0, 1] > 0.99


@pytest.mark.parametrize("rate_hz", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_opus_is_played_at_48_khz_and_exactly_as_long(rate_hz: int) -> None:
    pcm = speech_like(3 * rate_hz + 123, rate_hz)
    samples, played_hz = played(written(AudioFormat.OPUS, pcm, rate_hz))
    assert played_hz == 48_000
    assert len(samples) == len(pcm) * 48_000 // rate_hz
    assert np.corrcoef(samples[:: 48_000 // rate_hz], pcm)[0, 1] > 0.98


@pytest.mark.parametrize("num_samples", [1_024, 1_025, 1_151, 1_152, 1_440, 2_047, 2_048, 24_000, 24_001, 25_153])
@pytest.mark.parametrize("audio_format", ALL)
def test_what_is_played_is_as_long_as_what_went_in_at_every_length(audio_format: AudioFormat, num_samples: int) -> None:
    samples, played_hz = played(written(audio_format, speech_like(num_samples)))
    assert len(samples) == num_samples * played_hz // RATE_HZ


@pytest.mark.parametrize("num_samples", [1_024, 24_001, 100_001])
@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.FLAC, AudioFormat.WAV])
def test_a_second_decoder_counts_the_same_samples(audio_format: AudioFormat, num_samples: int) -> None:
    samples, rate_hz = soundfile.read(io.BytesIO(written(audio_format, speech_like(num_samples))))
    assert len(samples) * RATE_HZ == num_samples * rate_hz


@pytest.mark.parametrize("audio_format", ALL)
def test_no_file_is_shifted_by_a_single_sample(audio_format: AudioFormat) -> None:
    pcm = speech_like(2 * RATE_HZ)
    samples, played_hz = played(written(audio_format, pcm))
    samples = samples[:: played_hz // RATE_HZ]
    shifts = range(-3, 4)
    fits = [np.corrcoef(np.roll(samples, shift)[100:-100], pcm[100:-100])[0, 1] for shift in shifts]
    assert list(shifts)[int(np.argmax(fits))] == 0


@pytest.mark.parametrize("audio_format", ALL)
def test_players_show_the_duration(audio_format: AudioFormat) -> None:
    pcm = speech_like(5 * RATE_HZ)
    _, _, duration_s = seen(written(audio_format, pcm))
    # FFmpeg counts what Opus leaves out at the start; nothing else does.
    assert duration_s == pytest.approx(5.0, abs=0.0066 if audio_format is AudioFormat.OPUS else 0.0001)


@pytest.mark.parametrize("audio_format", ALL)
def test_the_same_samples_make_the_same_bytes(audio_format: AudioFormat) -> None:
    pcm = speech_like(RATE_HZ)
    assert written(audio_format, pcm) == written(audio_format, pcm)


@pytest.mark.parametrize("step", [1_000, 1_024, 100_001])
@pytest.mark.parametrize("audio_format", ALL)
def test_it_does_not_matter_how_the_stream_is_cut(audio_format: AudioFormat, step: int) -> None:
    pcm = speech_like(100_001)
    sink = WriteOnly()
    with open_writer(audio_format, RATE_HZ, len(pcm), sink) as writer:
        for start in range(0, len(pcm), step):
            writer.write(pcm[start : start + step])
        writer.write(pcm[:0])
    assert sink.data == written(audio_format, pcm)


@pytest.mark.parametrize("audio_format", ALL)
def test_the_number_of_samples_has_to_be_as_announced(audio_format: AudioFormat) -> None:
    writer = open_writer(audio_format, RATE_HZ, 1_000, WriteOnly())
    writer.write(speech_like(999))
    with pytest.raises(AssemblyError, match="1 samples fewer"):
        writer.close()
    with pytest.raises(AssemblyError, match="1 samples more"):
        writer.write(speech_like(2))


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.M4B])
def test_a_rate_that_a_format_does_not_know_is_refused(audio_format: AudioFormat) -> None:
    with pytest.raises(AssemblyError, match="24001 Hz"):
        open_writer(audio_format, 24_001, 10, WriteOnly())


def test_closing_twice_writes_once() -> None:
    sink = WriteOnly()
    with open_writer(AudioFormat.OPUS, RATE_HZ, 5_000, sink) as writer:
        writer.write(speech_like(5_000))
        writer.close()
        num_bytes = len(sink.data)
    assert len(sink.data) == num_bytes > 0


def test_a_wav_of_more_than_four_gigabytes_has_64_bit_sizes() -> None:
    num_samples = 48 * 3_600 * RATE_HZ
    header = WavEncoding(RATE_HZ, num_samples).header()
    assert header[:4] == b"RF64"
    assert header[8:16] == b"WAVEds64"
    riff_bytes, data_bytes, samples = struct.unpack("<QQQ", header[20:44])
    assert (riff_bytes, data_bytes, samples) == (len(header) - 8 + 2 * num_samples, 2 * num_samples, num_samples)
