"""Whether a recording can be a voice, and its conversion to what the workers take.

Knows nothing of S3. Faults of the file itself carry the codes `audio_empty`, `audio_format`, `audio_codec`,
`audio_decode_limit` and `audio_size`; those of the sound are in `producer.voicecheck`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Final

from producer.contract.errors import InvalidVoiceError
from producer.contract.fault import Fault
from producer.decoding import Decoded, DecodeLimitError, can_decode, decode, refuse_other_formats
from producer.voicecheck import (
    MAX_CHANNELS,
    MAX_DURATION_S,
    MAX_SAMPLE_RATE_HZ,
    header_faults,
    header_warnings,
    sound_faults,
    sound_warnings,
)
from producer.wavfile import WavCodecError, WavError, parse_wav

#: Two minutes of stereo with 16 bits at 48 kHz are 23 MB.
MAX_RECORDING_BYTES: Final = 25_000_000


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that can be a voice."""

    #: Mono 16-bit PCM WAV at the recording's own rate.
    wav: bytes
    sha256: str
    duration_s: float
    sample_rate_hz: int
    #: What will make the voice worse than it could be.
    warnings: tuple[Fault, ...] = ()


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
    decoded = _decoded(data)
    faults = _header_faults(decoded) or (sound_faults(decoded.sound) if decoded.sound else [])
    if faults or decoded.sound is None:
        raise InvalidVoiceError.of(faults)
    rate_hz, duration_s = decoded.sample_rate_hz, decoded.duration_s
    wav = decoded.wav()
    warnings = (*header_warnings(sample_rate_hz=rate_hz, duration_s=duration_s), *sound_warnings(decoded.sound))
    return Recording(wav, hashlib.sha256(wav).hexdigest(), duration_s, rate_hz, warnings)


def _decoded(data: bytes) -> Decoded:
    try:
        refuse_other_formats(data)
        if not can_decode(data):
            wav = parse_wav(data)
            # Of a WAV file the header is read here, so that nothing is started for one that is ruled out.
            header = Decoded(wav.format.sample_rate_hz, wav.format.num_channels, wav.num_frames)
            if faults := _header_faults(header):
                raise InvalidVoiceError.of(faults)
        return decode(
            data, max_duration_s=round(MAX_DURATION_S), max_rate_hz=MAX_SAMPLE_RATE_HZ, max_channels=MAX_CHANNELS
        )
    except WavError as error:
        code = {WavCodecError: "audio_codec", DecodeLimitError: "audio_decode_limit"}.get(type(error), "audio_format")
        raise _refusal(code, f"the file {error}; a WAV file with 16-bit PCM is always taken") from None


def _header_faults(decoded: Decoded) -> list[Fault]:
    return header_faults(
        sample_rate_hz=decoded.sample_rate_hz, num_channels=decoded.num_channels, duration_s=decoded.duration_s
    )


def _refusal(code: str, message: str) -> InvalidVoiceError:
    return InvalidVoiceError([asdict(Fault(code, "audio", message))])
