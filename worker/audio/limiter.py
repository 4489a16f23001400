"""A gain that gives way to peaks: a true-peak limiter that sees what comes. Knows nothing of loudness.

The gain is a smooth line between points of a grid. It looks as far ahead as behind and depends on nothing older, so a
stream comes out the same however it is cut, and where no peak is near, the samples are only multiplied.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from worker.audio.meter import FULL_SCALE
from worker.audio.truepeak import REACH, cell_peaks

#: Cells in a second: 2.5 ms. The gain is bound to the highest peak of each.
CELLS_PER_SECOND: Final = 400
#: Cells over which the gain comes down before a peak, and goes up after it: 20 ms, more than a period of the lowest
#: voice, so that the gain does not follow the wave itself, which would be distortion.
SLOPE_CELLS: Final = 8
#: dB that the limiter stays below the ceiling: eight points per sample can miss 0.1 dB of a peak at 7 kHz (BS.1770-5,
#: Annex 2), and the gain changes a little between the samples of a peak.
_MARGIN_DB: Final = 0.15

#: The slope's weights, [2 * SLOPE_CELLS + 1], of a sum of 1.
SLOPE: Final = np.hanning(2 * SLOPE_CELLS + 3)[1:-1].astype(np.float32) / np.float32(SLOPE_CELLS + 1)
#: Cells on each side that decide the gain within a cell.
_CONTEXT_CELLS: Final = 2 * SLOPE_CELLS + 1


class Leveller(Protocol):
    """Changes the level of a stream of 16-bit samples, perhaps with a delay."""

    def feed(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples and return those that are ready."""
        ...

    def close(self) -> NDArray[np.int16]:
        """Return the rest."""
        ...


class Gain:
    """Multiplies every sample."""

    def __init__(self, gain: float) -> None:
        self._gain = np.float32(gain)

    def feed(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples and return them louder; what is too loud for 16 bits is clipped."""
        return pcm if self._gain == 1.0 else rounded(pcm * self._gain)

    def close(self) -> NDArray[np.int16]:
        """Return nothing: there is no delay."""
        return np.zeros(0, np.int16)


class Limiter:
    """Multiplies every sample, by less where a peak would rise above the ceiling."""

    def __init__(self, rate_hz: int, gain: float, ceiling_dbtp: float) -> None:
        self._gain = np.float32(gain)
        self._ceiling = np.float32(ceiling_in_steps(ceiling_dbtp))
        self._cell = max(rate_hz // CELLS_PER_SECOND, REACH)
        self._ramp = (np.arange(self._cell) / self._cell).astype(np.float32)
        # The context of the next cell to leave, that cell, and what follows; REACH samples more in front.
        self._samples = np.zeros(REACH + _CONTEXT_CELLS * self._cell, np.float32)
        # The gain that each whole cell of these can bear.
        self._bearable = np.ones(_CONTEXT_CELLS, np.float32)
        self._num_inside = 0

    def feed(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples and return those whose surroundings are known."""
        self._num_inside += len(pcm)
        self._samples = np.concatenate([self._samples, pcm * self._gain])
        self._look_at_new_cells()
        num_cells = len(self._bearable) - 2 * _CONTEXT_CELLS
        if num_cells <= 0:
            return np.zeros(0, np.int16)
        begin = REACH + _CONTEXT_CELLS * self._cell
        ready = self._samples[begin : begin + num_cells * self._cell]
        if self._bearable.min() < 1.0:
            ready = ready * self._gains()
        self._samples = self._samples[num_cells * self._cell :]
        self._bearable = self._bearable[num_cells:]
        self._num_inside -= len(ready)
        return rounded(ready)

    def close(self) -> NDArray[np.int16]:
        """Return the rest; nothing may be fed afterwards."""
        num_left = self._num_inside
        return self.feed(np.zeros((_CONTEXT_CELLS + 1) * self._cell + REACH, np.int16))[:num_left]

    def _look_at_new_cells(self) -> None:
        seen = len(self._bearable) * self._cell
        num_new = (len(self._samples) - 2 * REACH - seen) // self._cell
        if num_new > 0:
            cells = self._samples[seen : seen + num_new * self._cell + 2 * REACH]
            peaks = cell_peaks(cells, self._cell, float(self._ceiling))
            self._bearable = np.concatenate([self._bearable, self._ceiling / np.maximum(peaks, self._ceiling)])

    def _gains(self) -> NDArray[np.float32]:
        """Return the gain of each sample that is ready, [num_cells * cell] float32.

        A point of the grid gets the mean, weighted by the slope, of the lowest gains around it, and each of these is
        at most what the point itself bears, so their mean is too.
        """
        points = np.minimum(self._bearable[:-1], self._bearable[1:])
        lowest = _windows(points).min(axis=1)
        gains = _windows(lowest) @ SLOPE
        line = gains[:-1, None] + np.diff(gains)[:, None] * self._ramp
        return line.reshape(-1).astype(np.float32, copy=False)


def ceiling_in_steps(ceiling_dbtp: float) -> float:
    """Return what the limiter keeps to, in steps of 16 bits."""
    return float(FULL_SCALE * 10.0 ** ((ceiling_dbtp - _MARGIN_DB) / 20.0))


def rounded(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples in whole steps; what does not fit into 16 bits is clipped. Overwrites what it is given."""
    np.rint(samples, out=samples)
    np.clip(samples, -FULL_SCALE, FULL_SCALE - 1, out=samples)
    return samples.astype(np.int16)


def _windows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.lib.stride_tricks.sliding_window_view(values, 2 * SLOPE_CELLS + 1)
