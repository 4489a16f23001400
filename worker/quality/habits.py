"""How a voice speaks, learned from its own takes: how fast, and what it leaves behind the last word.

Until some takes have been heard, what holds for any voice of the language is believed. Knows nothing of faults.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.quality.spoken import NUM_FEATURES, Spoken

#: Takes that are remembered of a voice, and from how many on they are believed.
MAX_TAKES: Final = 240
MIN_TAKES: Final = 24
#: Takes after which the weights are reckoned anew.
_REFIT_EVERY: Final = 8

#: Seconds of sound for a unit (about a Latin letter), pauses left out, and for each rest; of a voice not heard yet.
#: Pellegrino, Coupe & Marsico (2011, Language 87) measured 5.2 (Mandarin) to 7.8 (Japanese) syllables a second; a
#: unit makes up for how many letters a syllable takes, so one number does for most languages.
_UNIT_S: Final = 0.058
_SLOWER: Final = {"zh": 1.25, "ja": 0.9, "ko": 1.15, "ar": 1.35, "he": 1.35, "hi": 1.15, "el": 1.0, "fi": 0.9}
_REST_S: Final = 0.1
#: How firmly the weights are held at those values: as if so many seconds of speech had confirmed them.
_FIRMNESS: Final = 1.0

#: Smallest spread of durations that is believed, in sqrt(s): a fit over few takes looks better than it is.
_MIN_SPREAD: Final = 0.08

#: Seconds of quiet that follow speech at least, of a voice not heard yet; a stop is closed for 0.03 to 0.1 s.
_MIN_TAIL_S: Final = 0.03
#: Of the shortest tails of a voice, the share below which one is too short.
_TAIL_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of a take."""

    #: Seconds of sound, pauses left out.
    sound_s: float
    #: Standard deviation of a duration divided by the root of what was expected: pauses and stretches add up like
    #: independent errors, so long takes are relatively nearer. None: nothing was learned yet.
    spread: float | None
    #: Seconds of quiet behind the speech.
    min_tail_s: float


class Habits:
    """One voice. Not safe for use from several threads."""

    def __init__(self, language: str) -> None:
        unit_s = _UNIT_S * _SLOWER.get(language, 1.0)
        self._prior = np.array([0.1, unit_s, _REST_S, 0.0, 3 * unit_s])
        self._weights = self._prior
        self._spread: float | None = None
        self._takes: deque[tuple[NDArray[np.float64], float, float]] = deque(maxlen=MAX_TAKES)
        self._min_tail_s = _MIN_TAIL_S
        self._num_heard = 0

    def expect(self, spoken: Spoken) -> Expectation:
        """Return what a take of a text should be like."""
        sound_s = max(0.15, float(self._weights @ spoken.features))
        return Expectation(sound_s, self._spread, self._min_tail_s)

    def learn(self, spoken: Spoken, sound_s: float, tail_s: float) -> None:
        """Remember a take in which nothing was found."""
        self._takes.append((spoken.features, sound_s, tail_s))
        self._num_heard += 1
        if len(self._takes) >= MIN_TAKES and (self._num_heard % _REFIT_EVERY == 0 or self._spread is None):
            self._fit()

    def _fit(self) -> None:
        """Find the weights by least squares, each take divided by the root of its length, drawn to the prior."""
        features = np.array([take[0] for take in self._takes])
        sound_s = np.array([take[1] for take in self._takes])
        tails_s = np.array([take[2] for take in self._takes])
        scale = 1.0 / np.sqrt(np.maximum(sound_s, 0.3))
        rows = features * scale[:, None]
        pull = np.sqrt(_FIRMNESS) * np.eye(NUM_FEATURES)
        targets = np.concatenate([sound_s * scale, pull @ self._prior])
        self._weights = np.linalg.lstsq(np.concatenate([rows, pull]), targets, rcond=None)[0]
        expected_s = np.maximum(0.15, features @ self._weights)
        errors = (sound_s - expected_s) / np.sqrt(expected_s)
        # 1.4826 times the median deviation is the standard deviation of a normal distribution, whatever is far out.
        self._spread = max(_MIN_SPREAD, 1.4826 * float(np.median(np.abs(errors - np.median(errors)))))
        self._min_tail_s = max(_MIN_TAIL_S, _TAIL_SHARE * float(np.percentile(tails_s, 2)))


class HabitBook:
    """The habits of the voices that were heard last. Safe for use from many threads."""

    def __init__(self, max_voices: int = 256) -> None:
        self._max_voices = max_voices
        self._voices: OrderedDict[str, Habits] = OrderedDict()
        self._lock = threading.Lock()

    def expect(self, voice: str, language: str, spoken: Spoken) -> Expectation:
        """Return what a take of a text by a voice should be like; `voice` names engine, model and reference."""
        with self._lock:
            return self._habits(voice, language).expect(spoken)

    def learn(self, voice: str, language: str, spoken: Spoken, sound_s: float, tail_s: float) -> None:
        """Remember a take in which nothing was found."""
        with self._lock:
            self._habits(voice, language).learn(spoken, sound_s, tail_s)

    def _habits(self, voice: str, language: str) -> Habits:
        name = f"{voice} {language}"
        if name not in self._voices:
            self._voices[name] = Habits(language)
        self._voices.move_to_end(name)
        if len(self._voices) > self._max_voices:
            self._voices.popitem(last=False)
        return self._voices[name]
