"""What is measured of a recording, and what of it makes a voice, a warning, or a refusal."""

from __future__ import annotations

import array
import math
import random
import re
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from speechlike import speechlike

from producer import voicecheck
from producer.contract.errors import InvalidVoiceError
from producer.listening import Sound, listen
from producer.recording import read_recording
from producer.wavfile import write_wav

RATE_HZ = 16_000
DOCS = Path(__file__).parents[3] / "docs" / "voices.md"

#: Where Debian's pocketsphinx-testdata puts five clips of a LibriVox reading; they are in the public domain.
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")


def made(wave_at: Callable[[float], float], duration_s: float = 4.0) -> list[float]:
    """Return samples, -1 to 1, of a function of time in seconds."""
    return [wave_at(index / RATE_HZ) for index in range(round(duration_s * RATE_HZ))]


def as_wav(samples: Sequence[float], rate_hz: int = RATE_HZ) -> bytes:
    whole = (max(-32_768, min(32_767, round(32_768 * sample))) for sample in samples)
    return write_wav(array.array("h", whole), rate_hz)


def speech(duration_s: float = 4.0, *, peak: float = 0.3, rate_hz: int = RATE_HZ) -> list[float]:
    return [sample / 32_768 for sample in speechlike(duration_s, rate_hz=rate_hz, peak=round(32_768 * peak))]


def sine(frequency_hz: float) -> Callable[[float], float]:
    return lambda at_s: 0.3 * math.sin(2 * math.pi * frequency_hz * at_s)


def noise(level: float, num: int = 4 * RATE_HZ) -> list[float]:
    dice = random.Random(7)
    return [dice.gauss(0.0, level) for _ in range(num)]


def mixed(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [first + second for first, second in zip(one, other, strict=False)]


def silence(duration_s: float) -> list[float]:
    return [0.0] * round(duration_s * RATE_HZ)


def rumble() -> list[float]:
    """Return brown noise, as wind on a microphone."""
    level, wave = 0.0, []
    for step in noise(0.01):
        level = 0.999 * level + step
        wave.append(level)
    return wave


REFUSED: dict[str, tuple[Callable[[], list[float]], str]] = {
    "digital silence": (lambda: silence(4), "audio_silent"),
    "a whisper of noise": (lambda: noise(0.0005), "audio_silent"),
    "a word in a long silence": (lambda: [*silence(3), *speech(0.5), *silence(3)], "audio_mostly_silent"),
    "hum of the mains": (lambda: made(sine(50)), "audio_no_speech"),
    "a tone as deep as a voice": (lambda: made(sine(120)), "audio_no_speech"),
    "a whistle": (lambda: made(sine(1_000)), "audio_no_speech"),
    "white noise": (lambda: noise(0.1), "audio_no_speech"),
    "wind": (rumble, "audio_no_speech"),
    "beeps": (lambda: made(lambda at_s: sine(220)(at_s) * (at_s * 4 % 1 < 0.5)), "audio_no_speech"),
    "noise in bursts": (
        lambda: mixed([0.0] * 64_000, [s * (n % 4_000 < 2_000) for n, s in enumerate(noise(0.1))]),
        "audio_no_speech",
    ),
    "a chord": (lambda: made(lambda at_s: sine(262)(at_s) + sine(330)(at_s) + sine(392)(at_s)), "audio_no_speech"),
    "speech that nobody can hear": (lambda: speech(peak=0.006), "audio_quiet"),
    "speech under loud noise": (lambda: mixed(speech(), noise(0.03)), "audio_noisy"),
    "speech through a broken amplifier": (
        lambda: [max(-0.3, min(0.3, 12 * sample)) for sample in speech()],
        "audio_clipped",
    ),
}

WARNED: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "nothing": (lambda: as_wav(speech()), set()),
    "short": (lambda: as_wav(speech(2)), {"audio_short"}),
    "long": (lambda: as_wav(speech(12)), {"audio_long"}),
    "a telephone": (lambda: as_wav(speech(rate_hz=8_000), 8_000), {"audio_low_rate"}),
    "quiet": (lambda: as_wav(speech(peak=0.03)), {"audio_quiet"}),
    "loud": (lambda: as_wav([math.tanh(6 * sample) for sample in speech(peak=0.9)]), {"audio_loud"}),
    "clipped": (lambda: as_wav([max(-0.5, min(0.5, 2.5 * sample)) for sample in speech()]), {"audio_clipped"}),
    "noisy": (lambda: as_wav(mixed(speech(), noise(0.008))), {"audio_noisy"}),
    "silence first": (lambda: as_wav([*silence(1.5), *speech()]), {"audio_leading_silence"}),
    "silence last": (lambda: as_wav([*speech(), *silence(1.5)]), {"audio_trailing_silence"}),
    "a pause": (lambda: as_wav([*speech(3), *silence(2), *speech(3)]), {"audio_pause"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_voice_is_refused_by_name(case: str) -> None:
    make, code = REFUSED[case]
    with pytest.raises(InvalidVoiceError) as caught:
        read_recording(as_wav(make()))
    assert [fault.code for fault in caught.value.faults] == [code]


@pytest.mark.parametrize("case", WARNED)
def test_what_makes_a_voice_worse_is_a_warning_and_no_refusal(case: str) -> None:
    make, codes = WARNED[case]
    assert {warning.code for warning in read_recording(make()).warnings} == codes


def test_all_that_is_wrong_with_speech_is_said_at_once() -> None:
    loud = [max(-0.9, min(0.9, 12 * sample)) for sample in mixed(speech(), noise(0.01))]
    with pytest.raises(InvalidVoiceError) as caught:
        read_recording(as_wav(loud))
    assert {fault.code for fault in caught.value.faults} == {"audio_noisy", "audio_clipped"}


def test_a_level_is_that_of_what_is_heard_and_not_of_the_silence_around_it() -> None:
    alone, padded = heard(speech(3)), heard([*silence(2), *speech(3), *silence(3)])
    assert padded.level_db == pytest.approx(alone.level_db, abs=0.5)
    assert (padded.leading_s, padded.trailing_s) == pytest.approx((2, 3), abs=0.15)


def test_the_level_of_a_tone_is_3_db_below_its_peak() -> None:
    tone = heard(made(sine(200)))
    assert tone.peak_db == pytest.approx(20 * math.log10(0.3), abs=0.1)
    assert tone.level_db == pytest.approx(tone.peak_db - 3.01, abs=0.1)


def test_nothing_is_measured_where_no_model_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.listening.HEARD_S", 2.0)
    assert heard([*speech(2), *noise(0.3)]) == heard(speech(2))


def test_an_offset_of_the_recorder_changes_neither_level_nor_noise() -> None:
    plain, moved = heard(speech()), heard([sample + 0.2 for sample in speech()])
    assert moved.level_db == pytest.approx(plain.level_db, abs=0.1)
    assert moved.sound_s == plain.sound_s


@pytest.mark.parametrize("num_samples", [1, 2, 100, 400])
def test_a_moment_can_be_measured(num_samples: int) -> None:
    assert listen(array.array("h", [5] * num_samples), 48_000).voiced_s == 0


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_speech_is_found_at_every_rate(rate_hz: int) -> None:
    samples = speechlike(3, rate_hz=rate_hz)
    assert voicecheck.sound_faults(listen(samples, rate_hz)) == []


def test_the_draft_voice_is_speech() -> None:
    hibari = pytest.importorskip("hibari")
    pcm = hibari.Hibari(threads=1)("The lamp was lit before the rain began, and nobody remarked on it.", seed=1)
    recording = read_recording(as_wav([float(sample) for sample in pcm], 24_000))
    assert recording.warnings == ()


@pytest.mark.skipif(not LIBRIVOX.is_dir(), reason="pocketsphinx-testdata is not installed")
def test_people_are_speech() -> None:
    for path in sorted(LIBRIVOX.glob("*.wav")):
        recording = read_recording(path.read_bytes())
        assert {warning.code for warning in recording.warnings} <= {"audio_short"}, path.name


def test_a_recording_is_measured_alike_in_the_child_and_here(tmp_path: Path) -> None:
    samples = speechlike(3)
    path = tmp_path / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    from producer.decoding import decode

    assert decode(path.read_bytes(), max_duration_s=120, max_rate_hz=192_000, max_channels=2).sound == listen(
        samples, RATE_HZ
    )


def test_the_documentation_names_every_code_and_limit() -> None:
    table = DOCS.read_text("utf-8")
    checks = (*voicecheck.ESSENTIAL, *voicecheck.REFUSED, *voicecheck.WARNED)
    written = set(re.findall(r"`(audio_\w+)`", table))
    assert {check.code for check in checks} <= written
    for constant in ("MIN_LEVEL_DB", "QUIET_LEVEL_DB", "LOUD_LEVEL_DB", "MIN_SNR_DB", "NOISY_SNR_DB", "MAX_DURATION_S"):
        assert f"{getattr(voicecheck, constant):g}" in table, constant


def heard(samples: Sequence[float]) -> Sound:
    whole = (max(-32_768, min(32_767, round(32_768 * sample))) for sample in samples)
    return listen(array.array("h", whole), RATE_HZ)
