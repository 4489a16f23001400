"""What a text lets expect of its speech, in numbers that work for any language. Knows nothing of sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from worker.text.measure import units

#: Marks at which a voice rests.
_RESTS: Final = re.compile(
    r"[,;:.!?\u2026\u2013\u2014"
    r"\u3001\u3002\uff0c\uff01\uff1f\uff1b\uff1a"  # full-width
    r"\u060c\u061b\u061f\u0964]+"  # Arabic, Devanagari
)
_DIGITS: Final = re.compile(r"\d")
_WORDS: Final = re.compile(r"\w+")

#: Features of a text that decide how long it takes.
NUM_FEATURES: Final = 5

#: Times that the same words must follow one another in a text for a loop in its speech to be no fault.
_TURNS_OF_A_REFRAIN: Final = 3


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as the checks see it."""

    #: As `worker.text.measure` reckons them: about one for a Latin letter.
    num_units: int
    num_rests: int
    num_words: int
    num_digits: int
    #: Whether it says everything twice itself.
    is_doubled: bool
    #: Whether it says something three times in a row itself.
    is_refrain: bool

    @classmethod
    def of(cls, text: str) -> Self:
        """Return what a text lets expect."""
        words = [word.casefold() for word in _WORDS.findall(text)]
        half = len(words) // 2
        return cls(
            num_units=units(text),
            num_rests=len(_RESTS.findall(text)),
            num_words=len(words),
            num_digits=len(_DIGITS.findall(text)),
            is_doubled=len(words) >= 2 and words[:half] == words[-half:] and len(words) - 2 * half <= 1,
            is_refrain=_is_refrain(words),
        )

    @property
    def features(self) -> NDArray[np.float64]:
        """[NUM_FEATURES] float64, of which the seconds of speech are a sum with weights."""
        return np.array([1, self.num_units, self.num_rests, self.num_words, self.num_digits], np.float64)


def _is_refrain(words: list[str]) -> bool:
    """Return whether up to four words come three times in a row."""
    for length in range(1, 5):
        span = length * (_TURNS_OF_A_REFRAIN - 1)
        run = 0
        for place in range(len(words) - length):
            run = run + 1 if words[place] == words[place + length] else 0
            if run >= span:
                return True
    return False
