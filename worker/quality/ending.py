"""How a take ends: in quiet, in the middle of a sound, or in noise that nobody speaks. Knows nothing of texts."""

from __future__ import annotations

from typing import Final

import numpy as np

from worker.quality.finding import Finding, Flag
from worker.quality.habits import Expectation
from worker.quality.sound import HOP_S, Sound

#: Seconds of the stretches whose level is compared when the end of the speech is looked for.
_STEP_S: Final = 0.005

#: dB below the loud parts at which speech has died away: its last consonants are louder, breath and room are not.
_DIED_AWAY_DB: Final = 32.0

#: Frames that are looked at together: 0.1 s, longer than a sound of speech keeps its colour while it is joined with
#: the next, and the steps from one to the next.
_BLOCK_FRAMES: Final = 5
#: Mean difference of the bands, in dB, up to which two blocks have the same colour.
_SAME_COLOUR_DB: Final = 4.0
#: Seconds of one colour at the end from which on it is noise. Of 300 intact takes one had 0.5, the others 0.4 and less.
_MIN_NOISE_S: Final = 0.55
#: Of the colour, bands so many dB below the strongest one are left alone: they are the noise of the numbers.
_COLOUR_RANGE_DB: Final = 30.0


def tail_seconds(sound: Sound) -> float:
    """Return the seconds of quiet behind the speech, to 5 ms."""
    step = round(_STEP_S * sound.rate_hz)
    num_steps = len(sound.pcm) // step
    if num_steps == 0:
        return 0.0
    blocks = sound.pcm[len(sound.pcm) - num_steps * step :].reshape(num_steps, step)
    threshold_db = max(sound.threshold_db, sound.speech_db - _DIED_AWAY_DB)
    is_loud = np.einsum("bn,bn->b", blocks, blocks) / step > 10 ** (threshold_db / 10)
    loud = np.flatnonzero(is_loud)
    return (num_steps - 1 - int(loud[-1])) * _STEP_S if len(loud) else num_steps * _STEP_S


def check_cut(sound: Sound, expected: Expectation) -> Finding | None:
    """Find speech that stops without the quiet that a voice leaves behind its last word."""
    return Finding(Flag.CUT_OFF, 0.6) if tail_seconds(sound) < expected.min_tail_s else None


def check_trailing_noise(sound: Sound) -> Finding | None:
    """Find a steady sound at the end: hiss, hum, rumble, or a vowel that is held far too long."""
    _, end = sound.span
    num_blocks = end // _BLOCK_FRAMES
    if num_blocks < 2:
        return None
    blocks = sound.bands_db[end - num_blocks * _BLOCK_FRAMES : end].reshape(num_blocks, _BLOCK_FRAMES, -1).mean(axis=1)
    colours = np.maximum(blocks - blocks.max(axis=1, keepdims=True), -_COLOUR_RANGE_DB)
    colours -= colours.mean(axis=1, keepdims=True)
    # The last block may be half silence, so the one before it says what the colour is.
    last = num_blocks - 2
    mean = colours[last]
    length = 1
    while length <= last and np.abs(colours[last - length] - mean).mean() < _SAME_COLOUR_DB:
        mean = (mean * length + colours[last - length]) / (length + 1)
        length += 1
    noise_s = length * _BLOCK_FRAMES * HOP_S
    if noise_s < _MIN_NOISE_S:
        return None
    return Finding(Flag.TRAILING_NOISE, min(0.9, 0.3 + 0.2 * noise_s))
