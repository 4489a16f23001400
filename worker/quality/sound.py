"""What the checks look at: a take as levels and band energies, frame by frame, computed once.

Knows nothing of texts, limits or faults. Legend: F frames, M bands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

#: Seconds between two frames, and of each: half of it is shared with the next.
HOP_S: Final = 0.02
WINDOW_S: Final = 0.04
#: Bands, evenly spaced on the mel scale (O'Shaughnessy 1987) where speech has its energy.
NUM_BANDS: Final = 24
LOWEST_HZ: Final = 80.0
HIGHEST_HZ: Final = 7_600.0
#: Level of what is no sound at all, in dBFS.
SILENCE_DB: Final = -120.0

#: Frames whose spectra are computed at once: a quarter of a megabyte. All at once would take memory that the system
#: has to hand out and clear anew for each take, which costs twice as much as the spectra.
_BLOCK_FRAMES: Final = 64

#: A frame belongs to the speech if it is at most this many dB below the loud parts of it ...
_ACTIVE_BELOW_SPEECH_DB: Final = 36.0
#: ... and this many above the noise between the words; noise that is nearer to the speech than the second number
#: is no background, so it raises the threshold no further.
_ACTIVE_ABOVE_FLOOR_DB: Final = 6.0
_LOUDEST_FLOOR_BELOW_SPEECH_DB: Final = 28.0


@dataclass(frozen=True, slots=True)
class Sound:
    """A take, ready to be looked at."""

    #: [num_samples] float32, finite.
    pcm: NDArray[np.float32]
    rate_hz: int
    #: [F] float32: RMS level of each frame in dBFS.
    levels_db: NDArray[np.float32]
    #: [F, M] float32: log energy of each band, in dB.
    bands_db: NDArray[np.float32]
    #: [F] bool: frames that are louder than pauses are.
    is_active: NDArray[np.bool_]
    #: Level of the loud parts: a tenth of the active frames is louder.
    speech_db: float
    #: Level from which on a frame is active.
    threshold_db: float

    @classmethod
    def of(cls, pcm: NDArray[np.float32], rate_hz: int) -> Self:
        """Return the analysis of samples [num_samples] float32, which are finite."""
        levels_db, bands_db = _frames(pcm, rate_hz)
        loud_db = float(np.percentile(levels_db, 95))
        floor_db = min(_floor(levels_db), loud_db - _LOUDEST_FLOOR_BELOW_SPEECH_DB)
        threshold_db = max(loud_db - _ACTIVE_BELOW_SPEECH_DB, floor_db + _ACTIVE_ABOVE_FLOOR_DB, SILENCE_DB + 1)
        is_active = levels_db > threshold_db
        speech_db = float(np.percentile(levels_db[is_active], 90)) if is_active.any() else SILENCE_DB
        return cls(pcm, rate_hz, levels_db, bands_db, is_active, speech_db, threshold_db)

    @property
    def duration_s(self) -> float:
        """Seconds of the whole take."""
        return len(self.pcm) / self.rate_hz

    @property
    def span(self) -> tuple[int, int]:
        """First active frame, and the one behind the last; equal if there is none."""
        active = np.flatnonzero(self.is_active)
        return (int(active[0]), int(active[-1]) + 1) if len(active) else (0, 0)

    @property
    def speech_s(self) -> float:
        """Seconds from the first active frame to the last."""
        first, end = self.span
        return (end - first) * HOP_S


def _frames(pcm: NDArray[np.float32], rate_hz: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return levels [F] and band energies [F, M], both in dB; a take shorter than a frame is filled up with zeros."""
    hop, length = round(HOP_S * rate_hz), round(WINDOW_S * rate_hz)
    padded = np.pad(pcm, (0, max(0, length - len(pcm))))
    looks = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]
    power = np.einsum("fn,fn->f", looks, looks) / length
    bands = np.concatenate(
        [_bands(looks[at : at + _BLOCK_FRAMES], rate_hz) for at in range(0, len(looks), _BLOCK_FRAMES)]
    )
    return _decibels(power), _decibels(bands)


def _bands(looks: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Return the band energies [F, M] of frames [F, length]."""
    length = looks.shape[1]
    filters = _filters(rate_hz, length)
    # What lies above the highest band is not looked at.
    spectrum = _rfft()(looks * _window(length))[:, : len(filters)]
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag), np.float32) @ filters


def prepare() -> None:
    """Load what spectra are computed with, which takes a second: at the start and not while the first takes wait."""
    _rfft()


@cache
def _rfft() -> Callable[[NDArray[np.float32]], NDArray[np.complexfloating]]:
    """Return a function from real frames [F, length] to their spectra [F, length // 2 + 1]."""
    # Eight times faster than numpy's, and there wherever Chatterbox is; a worker of the draft voice goes without.
    library = "scipy.fft" if find_spec("scipy") is not None else "numpy.fft"
    rfft: Callable[[NDArray[np.float32]], NDArray[np.complexfloating]] = import_module(library).rfft
    return rfft


@cache
def _window(length: int) -> NDArray[np.float32]:
    """Return a Hann window, scaled so that a spectrum is power and not energy."""
    window = np.hanning(length)
    return np.asarray(window / np.sqrt(length * np.square(window).sum()), np.float32)


def _floor(levels_db: NDArray[np.float32]) -> float:
    """Return the level of the quietest 80 ms, in dBFS: a take has that much of a pause, or a stop, somewhere."""
    if len(levels_db) < 3:
        return float(levels_db.min())
    return float((levels_db[:-2] + levels_db[1:-1] + levels_db[2:]).min() / 3)


@cache
def _filters(rate_hz: int, length: int) -> NDArray[np.float32]:
    """Return triangular filters [frequencies up to the highest band's, M] float32."""
    frequencies_hz = np.fft.rfftfreq(length, 1 / rate_hz)
    edges = np.linspace(_mel(LOWEST_HZ), _mel(min(HIGHEST_HZ, rate_hz / 2)), NUM_BANDS + 2)
    places = _mel(frequencies_hz)[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    filters = np.asarray(np.maximum(0.0, np.minimum(rising, falling)), np.float32)
    return filters[: int(np.flatnonzero(filters.any(axis=1))[-1]) + 1]


def _mel(frequency_hz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(frequency_hz) / 700.0))


def _decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(10.0 * np.log10(np.maximum(power, 10.0 ** (SILENCE_DB / 10))), np.float32)
