"""Whether a recording can be a voice, and its conversion to what the workers take.

Knows nothing of S3. Faults carry the codes `audio_empty`, `audio_format`, `audio_codec`, `audio_decode_limit`,
`audio_size`, `audio_rate`, `audio_channels`, `audio_too_short`, `audio_too_long` and `audio_silent`.
"""

from __future__ import annotations

import array
import hashlib
from dataclasses import dataclass
from typing import Final

from producer.contract.errors import InvalidVoiceError
from producer.decoding import DecodeLimitError, can_decode, decode, refuse_other_formats
from producer.wavfile import WavCodecError, WavError, WavFile, parse_wav, write_wav

MAX_RECORDING_BYTES: Final = 50_000_000

#: Seconds. Chatterbox listens to the first 10; below 3 a voice is hard to recognise, which is a warning.
MIN_DURATION_S: Final = 1.0
SHORT_DURATION_S: Final = 3.0
MAX_DURATION_S: Final = 120.0

MIN_SAMPLE_RATE_HZ: Final = 8_000
MAX_SAMPLE_RATE_HZ: Final = 192_000
MAX_CHANNELS: Final = 2

#: Of 32,768. A recording whose loudest sample stays below (-50 dB) holds no voice.
_SILENT_PEAK: Final = 104
#: Share of samples at full scale from which a listener hears the clipping.
_CLIPPED_SHARE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be a voice."""

    #: Mono 16-bit PCM WAV at the recording's own rate.
    wav: bytes
    sha256: str
    duration_s: float
    sample_rate_hz: int
    #: What will make the voice worse than it could be, in words.
    warnings: tuple[str, ...]


def read_recording(data: bytes) -> Recording:
    """Return a recording, checked and converted.

    Args:
        data: a WAV file, PCM with 16, 24 or 32 bits; where soundfile is installed, FLAC, Ogg or MP3 too.

    Raises:
        InvalidVoiceError: naming what is wrong with it.
    """
    if not data:
        raise _refusal("audio_empty", "the file is empty")
    if len(data) > MAX_RECORDING_BYTES:
        raise _refusal("audio_size", f"is larger than {MAX_RECORDING_BYTES // 1_000_000} MB")
    wav = _samples_of(data)
    rate_hz = wav.format.sample_rate_hz
    if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise _refusal("audio_rate", f"has {rate_hz} Hz; {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} are taken")
    if wav.format.num_channels > MAX_CHANNELS:
        raise _refusal("audio_channels", f"has {wav.format.num_channels} channels; one or two are taken")
    if wav.duration_s < MIN_DURATION_S:
        raise _refusal("audio_too_short", f"lasts {wav.duration_s:.2f} s; at least {MIN_DURATION_S:g} are needed")
    if wav.duration_s > MAX_DURATION_S:
        raise _refusal(
            "audio_too_long", f"lasts {wav.duration_s:.0f} s; at most {MAX_DURATION_S:g} are taken, 10 are enough"
        )
    samples = wav.mono()
    if max(max(samples), -min(samples)) < _SILENT_PEAK:
        raise _refusal("audio_silent", "is silent")
    content = write_wav(samples, rate_hz)
    return Recording(
        wav=content,
        sha256=hashlib.sha256(content).hexdigest(),
        duration_s=wav.duration_s,
        sample_rate_hz=rate_hz,
        warnings=_warnings(samples, wav.duration_s),
    )


def _samples_of(data: bytes) -> WavFile:
    try:
        refuse_other_formats(data)
        if not can_decode(data):
            return parse_wav(data)
        return decode(
            data,
            max_duration_s=round(MAX_DURATION_S),
            max_rate_hz=MAX_SAMPLE_RATE_HZ,
            max_channels=MAX_CHANNELS,
        )
    except WavError as error:
        code = {WavCodecError: "audio_codec", DecodeLimitError: "audio_decode_limit"}.get(type(error), "audio_format")
        raise _refusal(code, f"the file {error}; a WAV file with 16-bit PCM is always taken") from None


def _warnings(samples: array.array[int], duration_s: float) -> tuple[str, ...]:
    warnings = []
    if duration_s < SHORT_DURATION_S:
        warnings.append(f"it lasts {duration_s:.1f} s; with {SHORT_DURATION_S:g} to 10 s a voice is caught better")
    num_clipped = samples.count(32_767) + samples.count(-32_768)
    if num_clipped > _CLIPPED_SHARE * len(samples):
        warnings.append(f"it is clipped: {num_clipped} samples are at full scale")
    return tuple(warnings)


def _refusal(code: str, message: str) -> InvalidVoiceError:
    return InvalidVoiceError([{"code": code, "field": "audio", "message": message, "line": None}])
