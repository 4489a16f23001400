"""A text's hash as tones, and the way back from any recording of them.

The code is frequency-shift keying: a sync tone, eight tones of one nibble each, a sync tone. It survives loudness
changes, mp3 and resampling, so a test reads from a finished file which segments are in it and in which order.
Knows nothing of engines.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Seconds of each tone; a segment is ten of them.
SYMBOL_S: Final = 0.05
SYNC_HZ: Final = 3000.0
#: Tone of nibble n: 600 + 150 n; the highest, 2,850 Hz, lies a step below the sync tone.
NIBBLE_BASE_HZ: Final = 600.0
NIBBLE_STEP_HZ: Final = 150.0
NUM_NIBBLES: Final = 8
AMPLITUDE: Final = 0.3
#: Seconds over which each tone swells and fades, against clicks that an encoder smears.
_RAMP_S: Final = 0.003

#: Seconds between two looks, and of the window of each: shorter than a tone, so that half a look may be off.
_HOP_S: Final = 0.005
_WINDOW_S: Final = 0.03
_HOPS_PER_SYMBOL: Final = round(SYMBOL_S / _HOP_S)
#: Share of a window's energy that has to lie in one tone; noise at the same level leaves about 0.5.
_MIN_PURITY: Final = 0.4
#: Windows below this share of the loudest one are silence.
_SILENCE: Final = 1e-4
#: Looks taken at once; bounds the memory for long files.
_BLOCK_HOPS: Final = 4096


def tone_hash(text: str) -> str:
    """Return the 32 bits, as 8 hexadecimal digits, that the tones of this text carry."""
    return hashlib.blake2b(text.encode(), digest_size=NUM_NIBBLES // 2).hexdigest()


def encode_tones(digits: str, rate_hz: int) -> NDArray[np.float32]:
    """Return the tones of 8 hexadecimal digits: [num_samples] float32, 0.5 s."""
    frequencies_hz = [SYNC_HZ, *(NIBBLE_BASE_HZ + NIBBLE_STEP_HZ * int(digit, 16) for digit in digits), SYNC_HZ]
    time_s = np.arange(round(SYMBOL_S * rate_hz)) / rate_hz
    ramp = np.clip(np.minimum(time_s, time_s[::-1]) / _RAMP_S, 0.0, 1.0)
    symbols = [AMPLITUDE * ramp * np.sin(2 * np.pi * frequency_hz * time_s) for frequency_hz in frequencies_hz]
    return np.concatenate(symbols).astype(np.float32)


def decode_tones(pcm: NDArray[Any], rate_hz: int) -> list[str]:
    """Return the hashes in a recording, in order; what is no complete code is passed over.

    Args:
        pcm: [num_samples] mono, any level, any real type.
        rate_hz: samples per second, 8,000 or more.
    """
    purity = _tone_purity(np.asarray(pcm), rate_hz)
    num_starts = len(purity) - (NUM_NIBBLES + 1) * _HOPS_PER_SYMBOL
    if num_starts <= 0:
        return []

    def at_symbol(number: int) -> NDArray[np.float32]:
        return purity[number * _HOPS_PER_SYMBOL :][:num_starts]

    nibbles = [at_symbol(number)[:, :-1] for number in range(1, NUM_NIBBLES + 1)]
    parts = [at_symbol(0)[:, -1], at_symbol(NUM_NIBBLES + 1)[:, -1], *(nibble.max(axis=1) for nibble in nibbles)]
    weakest = np.min(parts, axis=0)
    strength = np.sum(parts, axis=0) * (weakest >= _MIN_PURITY)

    hashes = []
    start = 0
    while start < num_starts:
        if not strength[start]:
            start += 1
            continue
        # The true start is within one symbol of the first look that fits.
        best = start + int(np.argmax(strength[start : start + _HOPS_PER_SYMBOL]))
        hashes.append("".join(f"{int(nibble[best].argmax()):x}" for nibble in nibbles))
        start = best + (NUM_NIBBLES + 1) * _HOPS_PER_SYMBOL
    return hashes


def _tone_purity(pcm: NDArray[Any], rate_hz: int) -> NDArray[np.float32]:
    """Return [num_hops, 17] float32: the share of each look's energy that lies in each tone, sync last."""
    hop, length = round(_HOP_S * rate_hz), round(_WINDOW_S * rate_hz)
    num_tones = 17
    if len(pcm) < length:
        return np.zeros((0, num_tones), np.float32)
    frequencies_hz = np.append(NIBBLE_BASE_HZ + NIBBLE_STEP_HZ * np.arange(num_tones - 1), SYNC_HZ)
    window = np.hanning(length)
    phase = 2 * np.pi * np.outer(np.arange(length) / rate_hz, frequencies_hz)
    basis = (window[:, None] * np.exp(-1j * phase)).astype(np.complex64)
    # What a pure tone gives: its own energy in the window is half the amplitude squared times sum(window ** 2).
    pure = (window.sum() ** 2) / (2 * np.square(window).sum())

    looks = np.lib.stride_tricks.sliding_window_view(pcm, length)[::hop]
    power = np.empty((len(looks), num_tones), np.float32)
    energy = np.empty(len(looks), np.float32)
    for start in range(0, len(looks), _BLOCK_HOPS):
        block = looks[start : start + _BLOCK_HOPS].astype(np.float32)
        power[start : start + len(block)] = np.abs(block @ basis) ** 2
        energy[start : start + len(block)] = np.square(block * window.astype(np.float32)).sum(axis=1)
    is_sound = energy > _SILENCE * energy.max(initial=0.0)
    return np.where(is_sound[:, None], power / np.maximum(energy[:, None] * pure, 1e-20), 0.0).astype(np.float32)
