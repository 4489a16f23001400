"""What a recording sounds like, in numbers: level, clipping, silence, noise, and whether somebody speaks.

Standard library alone, so that a recording is judged alike whatever is installed; run in the child of
`producer.decoding`, and loaded there by its path, so it imports nothing of ours. Knows no limits: `producer.recording`
does. Everything is measured where a model listens, which is the begin of the recording.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul, sub
from typing import Final

#: Seconds that are measured: Chatterbox listens to no more.
HEARD_S: Final = 10.0

#: Decibels of nothing; no 16-bit sample is as quiet.
MIN_DB: Final = -120.0

#: Seconds of a frame, the grain of all that is said of time.
_FRAME_S: Final = 0.02
#: Samples per second, about, for all but peak and clipping, and for pitch.
_RATE_HZ: Final = 16_000
_PITCH_RATE_HZ: Final = 4_000
_FULL_SCALE: Final = 32_768.0

#: Decibels below the loud frames under which a frame is a pause. Between words a studio falls by 40 and more, a living
#: room by 25 to 35.
_PAUSE_DB: Final = 25.0

#: Hz between which voices lie, from a deep man's to a child's.
_MIN_PITCH_HZ: Final = 70
_MAX_PITCH_HZ: Final = 400
#: Correlation of a frame with itself one period later from which it counts as voiced; noise stays below 0.4.
_MIN_PERIODICITY: Final = 0.6
#: The period is the shortest after which it is nearly as alike: a whistle is alike after each number of its periods.
_NEARLY: Final = 0.9
#: Decibels by which the level rises and falls around a syllable.
_SYLLABLE_DB: Final = 6.0


@dataclass(frozen=True, slots=True)
class Sound:
    """Measurements. Decibels are relative to full scale."""

    peak_db: float
    #: Mean power while something is heard, pauses left out.
    level_db: float
    #: Of the quietest twentieth: what is heard when nobody speaks.
    floor_db: float
    #: Share of samples at the highest value that occurs: the tops that clipping cuts off.
    clipped_share: float
    #: Seconds that were measured, and those of them in which something is heard.
    heard_s: float
    sound_s: float
    #: Seconds before the first sound, after the last one, and of the longest pause between.
    leading_s: float
    trailing_s: float
    pause_s: float
    #: Seconds in which there is a pitch as voices have it.
    voiced_s: float
    #: Rises and falls of the level per second of sound.
    syllables_per_s: float
    #: How many times brighter bright frames are than dark ones; of a steady sound 1.
    contrast: float


def listen(samples: array[int], rate_hz: int) -> Sound:
    """Measure mono 16-bit samples, of which there is at least one."""
    heard = samples[: round(HEARD_S * rate_hz)]
    reduced, reduced_hz = _reduced(heard, rate_hz, _RATE_HZ)
    frame = max(1, round(_FRAME_S * reduced_hz))
    starts = range(0, max(1, len(reduced) - frame + 1), frame)
    frames = [_around_zero(reduced[at : at + frame]) for at in starts]
    levels_db = [_decibels(_power(samples)) for samples in frames]
    threshold_db = _quantile(levels_db, 0.95) - _PAUSE_DB
    is_sound = [level_db > max(threshold_db, MIN_DB) for level_db in levels_db]
    sounding = [number for number, is_loud in enumerate(is_sound) if is_loud]
    leading, trailing, pause = _silences(is_sound)
    peak = max(max(heard), -min(heard))
    return Sound(
        peak_db=_decibels((peak / _FULL_SCALE) ** 2),
        level_db=_decibels(sum(map(_power, (frames[number] for number in sounding))) / max(1, len(sounding))),
        floor_db=_quantile(levels_db, 0.05),
        clipped_share=_clipped_share(heard, peak),
        heard_s=len(heard) / rate_hz,
        sound_s=len(sounding) * _FRAME_S,
        leading_s=leading * _FRAME_S,
        trailing_s=trailing * _FRAME_S,
        pause_s=pause * _FRAME_S,
        voiced_s=_num_voiced(reduced, reduced_hz, frame, sounding) * _FRAME_S,
        syllables_per_s=_num_syllables(levels_db) / max(1, len(sounding)) / _FRAME_S,
        contrast=_contrast([frames[number] for number in sounding]),
    )


def _reduced(samples: Sequence[float], rate_hz: float, wanted_hz: int) -> tuple[list[float], float]:
    """Return about as many samples per second as are wanted: means of neighbours, which is filter enough."""
    factor = max(1, round(rate_hz / wanted_hz))
    whole = len(samples) - len(samples) % factor
    columns = [samples[offset:whole:factor] for offset in range(factor)]
    return [sum(neighbours) / factor for neighbours in zip(*columns, strict=True)], rate_hz / factor


def _around_zero(samples: Sequence[float]) -> list[float]:
    """Return a frame without its mean, which nobody hears: an offset of the recorder, or rumble."""
    mean = sum(samples) / max(1, len(samples))
    return [sample - mean for sample in samples]


def _power(samples: Sequence[float]) -> float:
    """Return the mean square, 1 at full scale."""
    return float(sum(map(mul, samples, samples))) / (max(1, len(samples)) * _FULL_SCALE**2)


def _decibels(power: float) -> float:
    return max(MIN_DB, 10 * math.log10(power)) if power > 0 else MIN_DB


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


def _silences(is_sound: Sequence[bool]) -> tuple[int, int, int]:
    """Return the frames before the first sound, after the last one, and of the longest pause between."""
    if True not in is_sound:
        return len(is_sound), len(is_sound), 0
    first = is_sound.index(True)
    last = len(is_sound) - 1 - list(reversed(is_sound)).index(True)
    longest = current = 0
    for is_loud in is_sound[first:last]:
        current = 0 if is_loud else current + 1
        longest = max(longest, current)
    return first, len(is_sound) - 1 - last, longest


def _clipped_share(samples: array[int], peak: int) -> float:
    """Return the share of samples at the peak, which a whole wave touches now and then and a clipped one stays at.

    Full scale is not asked for: a recording may have been made quieter since it was clipped.
    """
    if peak == 0:
        return 0.0
    return (samples.count(min(peak, 32_767)) + samples.count(-peak)) / len(samples)


def _num_voiced(samples: Sequence[float], rate_hz: float, frame: int, frames: Sequence[int]) -> int:
    """Return how many of these frames have a pitch."""
    slow, slow_hz = _reduced(samples, rate_hz, _PITCH_RATE_HZ)
    # The slope instead of the wave: rumble of wind and traffic, which repeats itself now and then, has hardly any.
    slow = list(map(sub, slow[1:], slow))
    length = round(2 * _FRAME_S * slow_hz)
    starts = (round(number * frame * slow_hz / rate_hz) for number in frames)
    return sum(_has_pitch(slow, start, length, slow_hz) for start in starts)


def _has_pitch(samples: Sequence[float], start: int, length: int, rate_hz: float) -> bool:
    """Say whether a stretch repeats itself, after a voice's period and not after a shorter one.

    Normalized cross-correlation, as in Talkin's robust algorithm for pitch tracking (RAPT, 1995), its first pass.
    """
    longest = round(rate_hz / _MIN_PITCH_HZ)
    stretch = samples[start : start + length + longest + 1]
    if len(stretch) < length + longest + 1:
        return False
    first = stretch[:length]
    energy = sum(map(mul, first, first))
    alike = []
    for lag in range(2, longest + 2):
        later = stretch[lag : lag + length]
        both = energy * sum(map(mul, later, later))
        alike.append(sum(map(mul, first, later)) / math.sqrt(both) if both > 0 else 0.0)
    tops = [
        (lag, value)
        for lag, (before, value, after) in enumerate(zip(alike, alike[1:], alike[2:], strict=False), start=3)
        if before < value >= after
    ]
    best = max((value for _, value in tops), default=0.0)
    if best < _MIN_PERIODICITY:
        return False
    period = next(lag for lag, value in tops if value >= _NEARLY * best)
    return period >= rate_hz / _MAX_PITCH_HZ


def _num_syllables(levels_db: Sequence[float]) -> int:
    """Return how often the level rises and falls again; smoothed over three frames."""
    padded = [levels_db[0], *levels_db, levels_db[-1]]
    smooth = [sum(three) / 3 for three in zip(padded, padded[1:], padded[2:], strict=False)]
    num, low, high, is_rising = 0, smooth[0], smooth[0], False
    for level_db in smooth:
        low, high = min(low, level_db), max(high, level_db)
        if not is_rising and level_db > low + _SYLLABLE_DB:
            is_rising, high = True, level_db
        elif is_rising and level_db < high - _SYLLABLE_DB:
            is_rising, low = False, level_db
            num += 1
    return num


def _contrast(frames: Sequence[Sequence[float]]) -> float:
    """Return how far apart bright and dark frames are: by the power of the slope beside that of the wave itself."""
    brightness = []
    for samples in frames:
        power = sum(map(mul, samples, samples))
        slope = list(map(sub, samples[1:], samples))
        brightness.append(sum(map(mul, slope, slope)) / power if power > 0 else 0.0)
    if not brightness:
        return 1.0
    dark = _quantile(brightness, 0.1)
    return _quantile(brightness, 0.9) / dark if dark > 0 else 1.0
