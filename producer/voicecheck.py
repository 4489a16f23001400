"""Which recordings can be a voice: the limits of every measurement, each with a code and a sentence.

Knows nothing of files. The same table stands in docs/voices.md, with the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from producer.contract.fault import Fault
from producer.listening import HEARD_S, Sound

#: Seconds. Chatterbox listens to the first ten; below three a voice is hard to recognise.
MIN_DURATION_S: Final = 1.0
SHORT_DURATION_S: Final = 3.0
MAX_DURATION_S: Final = 120.0

MIN_SAMPLE_RATE_HZ: Final = 8_000
MAX_SAMPLE_RATE_HZ: Final = 192_000
#: What the models hear with; of less, consonants are missing.
LOW_SAMPLE_RATE_HZ: Final = 16_000
MAX_CHANNELS: Final = 2

#: Decibels of full scale.
SILENT_PEAK_DB: Final = -50.0
MIN_LEVEL_DB: Final = -50.0
QUIET_LEVEL_DB: Final = -36.0
LOUD_LEVEL_DB: Final = -10.0

#: Decibels from the noise between the words up to the words. A living room has 25 and more.
MIN_SNR_DB: Final = 10.0
NOISY_SNR_DB: Final = 20.0

#: Shares of the samples. Speech that is made four times as loud as fits is at 0.001, eight times at 0.03.
CLIPPED_SHARE: Final = 0.001
MAX_CLIPPED_SHARE: Final = 0.02

#: Seconds.
MIN_SOUND_S: Final = 0.6
LONG_EDGE_S: Final = 1.0
LONG_PAUSE_S: Final = 1.5

#: What speech is, in numbers. Read and synthetic speech has a pitch in 20 to 45 % of the time, 2.8 to 4.7 syllables a
#: second by this count, and bright frames 14 to 300 times brighter than dark ones; with noise as loud as the speech
#: itself 15 %, 1.8 and 5. White noise, hum, tones, beeps, chords and a melody each miss one of the three.
MIN_VOICED_SHARE: Final = 0.08
MIN_SYLLABLES_PER_S: Final = 1.0
MIN_CONTRAST: Final = 4.0


@dataclass(frozen=True, slots=True)
class Check:
    """One limit."""

    code: str
    is_beyond: Callable[[Sound], bool]
    message: Callable[[Sound], str]

    def fault(self, sound: Sound) -> Fault | None:
        """Return what is wrong, if anything."""
        return Fault(self.code, "audio", self.message(sound)) if self.is_beyond(sound) else None


#: Nothing more can be said of a recording that fails one of these, so the first of them is the only fault.
ESSENTIAL: Final = (
    Check("audio_silent", lambda sound: sound.peak_db < SILENT_PEAK_DB, lambda _: "is silent"),
    Check(
        "audio_mostly_silent",
        lambda sound: sound.sound_s < MIN_SOUND_S,
        lambda sound: (
            f"has {sound.sound_s:.1f} s of sound in its first {sound.heard_s:.1f}; {MIN_SOUND_S:g} are needed"
        ),
    ),
    Check("audio_no_speech", lambda sound: not is_speech(sound), lambda sound: _why_no_speech(sound)),
)

REFUSED: Final = (
    Check(
        "audio_quiet",
        lambda sound: sound.level_db < MIN_LEVEL_DB,
        lambda sound: f"is too quiet: the speech is at {sound.level_db:.0f} dB; {MIN_LEVEL_DB:g} are needed",
    ),
    Check(
        "audio_noisy",
        lambda sound: snr_db(sound) < MIN_SNR_DB,
        lambda sound: f"is too noisy: speech stands {snr_db(sound):.0f} dB above the noise; {MIN_SNR_DB:g} are needed",
    ),
    Check(
        "audio_clipped",
        lambda sound: sound.clipped_share > MAX_CLIPPED_SHARE,
        lambda sound: f"is clipped: {sound.clipped_share:.1%} of it are cut off at the top; record it more quietly",
    ),
)

WARNED: Final = (
    Check(
        "audio_quiet",
        lambda sound: sound.level_db < QUIET_LEVEL_DB,
        lambda sound: f"is quiet: the speech is at {sound.level_db:.0f} dB; about -20 is good",
    ),
    Check(
        "audio_loud",
        lambda sound: sound.level_db > LOUD_LEVEL_DB,
        lambda sound: f"is loud: the speech is at {sound.level_db:.0f} dB; about -20 is good",
    ),
    Check(
        "audio_noisy",
        lambda sound: snr_db(sound) < NOISY_SNR_DB,
        lambda sound: f"is noisy: speech stands {snr_db(sound):.0f} dB above the noise, which the voice will have too",
    ),
    Check(
        "audio_clipped",
        lambda sound: sound.clipped_share > CLIPPED_SHARE,
        lambda sound: f"is clipped: {sound.clipped_share:.1%} of it are cut off at the top",
    ),
    Check(
        "audio_leading_silence",
        lambda sound: sound.leading_s > LONG_EDGE_S,
        lambda sound: f"begins with {sound.leading_s:.1f} s of silence",
    ),
    Check(
        "audio_trailing_silence",
        lambda sound: sound.trailing_s > LONG_EDGE_S,
        lambda sound: f"ends in {sound.trailing_s:.1f} s of silence",
    ),
    Check(
        "audio_pause",
        lambda sound: sound.pause_s > LONG_PAUSE_S,
        lambda sound: f"has a pause of {sound.pause_s:.1f} s",
    ),
)


def header_faults(*, sample_rate_hz: int, num_channels: int, duration_s: float) -> list[Fault]:
    """Return the first thing that a header rules out, before any sample is looked at; or nothing."""
    if not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        text = f"has {sample_rate_hz} Hz; {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} are taken"
        return [Fault("audio_rate", "audio", text)]
    if num_channels > MAX_CHANNELS:
        return [Fault("audio_channels", "audio", f"has {num_channels} channels; one or two are taken")]
    if duration_s < MIN_DURATION_S:
        text = f"lasts {duration_s:.2f} s; at least {MIN_DURATION_S:g} are needed"
        return [Fault("audio_too_short", "audio", text)]
    if duration_s > MAX_DURATION_S:
        text = f"lasts {duration_s:.0f} s; at most {MAX_DURATION_S:g} are taken, {HEARD_S:g} are enough"
        return [Fault("audio_too_long", "audio", text)]
    return []


def header_warnings(*, sample_rate_hz: int, duration_s: float) -> list[Fault]:
    """Return what a header says against a recording that is taken all the same."""
    warnings = []
    if duration_s < SHORT_DURATION_S:
        text = f"lasts {duration_s:.1f} s; with {SHORT_DURATION_S:g} to {HEARD_S:g} s a voice is caught better"
        warnings.append(Fault("audio_short", "audio", text))
    if duration_s > HEARD_S:
        text = f"lasts {duration_s:.0f} s; the first {HEARD_S:g} are listened to"
        warnings.append(Fault("audio_long", "audio", text))
    if sample_rate_hz < LOW_SAMPLE_RATE_HZ:
        text = f"has {sample_rate_hz} Hz, as a telephone; {LOW_SAMPLE_RATE_HZ} and more sound better"
        warnings.append(Fault("audio_low_rate", "audio", text))
    return warnings


def sound_faults(sound: Sound) -> list[Fault]:
    """Return why a recording cannot be a voice."""
    for check in ESSENTIAL:
        if fault := check.fault(sound):
            return [fault]
    return _found(REFUSED, sound)


def sound_warnings(sound: Sound) -> list[Fault]:
    """Return what will make the voice worse than it could be."""
    return _found(WARNED, sound)


def snr_db(sound: Sound) -> float:
    """Return by how much speech stands above what is heard when nobody speaks."""
    return sound.level_db - sound.floor_db


def is_speech(sound: Sound) -> bool:
    """Say whether somebody speaks: there is a voice, in syllables, and its colour changes."""
    return not _why_no_speech(sound)


def _why_no_speech(sound: Sound) -> str:
    if sound.voiced_s < MIN_VOICED_SHARE * sound.sound_s:
        return "holds no speech: hardly any of it has the pitch of a voice (a whisper has none)"
    if sound.syllables_per_s < MIN_SYLLABLES_PER_S:
        return "holds no speech: its level does not rise and fall as syllables do"
    if sound.contrast < MIN_CONTRAST:
        return "holds no speech: its sound stays the same, where vowels and consonants alternate in speech"
    return ""


def _found(checks: tuple[Check, ...], sound: Sound) -> list[Fault]:
    return [fault for check in checks if (fault := check.fault(sound))]
