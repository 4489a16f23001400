"""A voice for tests: each letter is a short hum of its own colour, so takes are as long as their text and unlike.

Knows nothing of English; the checks take it for speech, which is all that is asked of it.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from worker.engine.request import Take

RATE_HZ = 16_000
LETTER_S = 0.06


def speak(text: str, seed: int = 0, *, pace: float = 1.0) -> NDArray[np.float32]:
    """Return a text as samples [num_samples]; the seed decides how long each letter takes, within 10 %."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(RATE_HZ // 10)]
    for letter in text.lower():
        length = round(pace * LETTER_S * RATE_HZ * rng.uniform(0.9, 1.1))
        parts.append(_hum(letter, length) if letter.isalnum() else np.zeros(length))
    parts.append(np.zeros(RATE_HZ // 4))
    return np.concatenate(parts).astype(np.float32)


def take_of(text: str, seed: int = 0, *, pace: float = 1.0) -> Take:
    """Return a text as a take."""
    return Take(speak(text, seed, pace=pace), RATE_HZ, seed, 0.5, is_watermarked=False)


def _hum(letter: str, length: int) -> NDArray[np.float64]:
    """Return twelve harmonics, as loud as the letter has them."""
    colour = np.random.default_rng(zlib.crc32(letter.encode())).uniform(0, 1, 12) ** 3
    time_s = np.arange(length) / RATE_HZ
    waves = np.sin(2 * np.pi * 180 * np.outer(np.arange(1, 13), time_s))
    envelope = np.sin(np.pi * np.arange(length) / length) ** 0.5
    return 0.3 * envelope * (colour @ waves) / colour.sum()
