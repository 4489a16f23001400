"""Made-up speech, for tests that need a recording which can be a voice: vowels and consonants, in syllables.

Nobody speaks in it. Standard library alone.
"""

from __future__ import annotations

import array
import itertools
import math
import random

from producer.wavfile import write_wav

#: Seconds of a syllable: a consonant, a vowel that swells and fades, and nothing.
SYLLABLE_S = 0.28
_CONSONANT_S = 0.06
_VOWEL_S = 0.18

#: First two resonances of five vowels, in Hz, after Peterson and Barney (1952).
_VOWELS = ((730, 1090), (270, 2290), (570, 840), (300, 870), (530, 1840))


def speechlike(
    duration_s: float, *, rate_hz: int = 16_000, peak: int = 10_000, pitch_hz: float = 120.0
) -> array.array[int]:
    """Return mono 16-bit samples; another pitch is another voice."""
    dice = random.Random(round(pitch_hz))
    samples: list[float] = []
    while len(samples) < duration_s * rate_hz:
        vowel_hz = _VOWELS[dice.randrange(len(_VOWELS))]
        samples += _consonant(rate_hz, dice) + _vowel(rate_hz, vowel_hz, pitch_hz * dice.uniform(0.9, 1.2))
        samples += [0.0] * round((SYLLABLE_S - _CONSONANT_S - _VOWEL_S) * rate_hz)
    samples = samples[: round(duration_s * rate_hz)]
    loudest = max(map(abs, samples))
    return array.array("h", (round(peak * sample / loudest) for sample in samples))


def speechlike_wav(duration_s: float, *, rate_hz: int = 16_000, peak: int = 10_000, pitch_hz: float = 120.0) -> bytes:
    """Return the same as a WAV file."""
    return write_wav(speechlike(duration_s, rate_hz=rate_hz, peak=peak, pitch_hz=pitch_hz), rate_hz)


def _consonant(rate_hz: int, dice: random.Random) -> list[float]:
    noise = [dice.uniform(-1, 1) for _ in range(round(_CONSONANT_S * rate_hz) + 1)]
    return [0.08 * (after - before) for before, after in itertools.pairwise(noise)]


def _vowel(rate_hz: int, vowel_hz: tuple[int, int], pitch_hz: float) -> list[float]:
    num = round(_VOWEL_S * rate_hz)
    wave = [0.0] * num
    for number in range(int(num * pitch_hz / rate_hz) + 1):
        at = round(number * rate_hz / pitch_hz)
        if at < num:
            wave[at] = 1.0
    for resonance_hz in vowel_hz:
        wave = _resonated(wave, resonance_hz / rate_hz)
    loudest = max(map(abs, wave))
    return [sample / loudest * math.sin(math.pi * at / num) ** 2 for at, sample in enumerate(wave)]


def _resonated(wave: list[float], frequency: float) -> list[float]:
    """Return the wave as it rings at a frequency, in cycles per sample."""
    radius = 0.97
    first, second = 2 * radius * math.cos(2 * math.pi * frequency), -(radius**2)
    rung: list[float] = []
    before = earlier = 0.0
    for sample in wave:
        before, earlier = sample + first * before + second * earlier, before
        rung.append(before)
    return rung
