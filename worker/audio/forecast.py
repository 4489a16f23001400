"""What a limiter will take away, known before it runs. Knows nothing of files.

While the loudness is measured, a histogram is kept: how much of the energy stands beside peaks of which height. From
it follows, for any gain, the loudness behind the limiter, and so the gain that ends at the target, without a third
pass over ten hours of audio.
"""

from __future__ import annotations

from math import log10
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.limiter import CELLS_PER_SECOND, SLOPE, SLOPE_CELLS, ceiling_in_steps
from worker.audio.meter import HOPS_PER_SECOND

#: dB between two bins of the histogram, and the peaks of its first and last one, in dB over one step of 16 bits.
_BIN_DB: Final = 0.25
_LAST_BIN: Final = int(91 / _BIN_DB)
#: Cells to each side of a peak that feel it: those of the slope, and two for the grid and for what rises between the
#: samples. Measured with speech that loses 1.4 dB: the forecast is 0.1 dB short, and 0.2 without the two.
_FELT_CELLS: Final = SLOPE_CELLS + 2
#: dB that the gain may be raised to make up for what the limiter takes. More than that is heard as pressing.
MAX_MAKE_UP_DB: Final = 6.0
#: Halvings of that range: 0.001 dB.
_NUM_HALVINGS: Final = 13


class LimiterForecast:
    """Watches a stream (`worker.audio.meter.Watcher`)."""

    def __init__(self) -> None:
        self._energies = np.zeros(_LAST_BIN + 1)
        self.sample_peak = 0.0

    def watch(self, samples: NDArray[np.float32], energies: NDArray[np.float32]) -> None:
        """Add some hops, [num_hops, hop_samples] float32 in steps of 16 bits, and their weighted energies."""
        num_hops, hop = samples.shape
        cells_per_hop = CELLS_PER_SECOND // HOPS_PER_SECOND
        cells = samples[:, : hop // cells_per_hop * cells_per_hop].reshape(num_hops * cells_per_hop, -1)
        peaks = np.maximum(cells.max(axis=1), -cells.min(axis=1))
        self.sample_peak = max(self.sample_peak, float(peaks.max()))
        # The weighted energy of a hop is shared out to its cells as their own energy is.
        own = np.einsum("ij,ij->i", cells, cells).reshape(num_hops, cells_per_hop) + np.float32(1e-9)
        of_cells = (own * (energies / own.sum(axis=1))[:, None]).reshape(-1)
        # The gain at a cell is the slope's mean of the gains that the highest peaks around the cells near it bear.
        padded = np.pad(peaks, _FELT_CELLS)
        highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * _FELT_CELLS + 1).max(axis=1)
        spread = np.convolve(of_cells, SLOPE, "same")
        bins = np.clip(20.0 / _BIN_DB * np.log10(np.maximum(highest, 1.0)), 0, _LAST_BIN).astype(np.intp)
        self._energies += np.bincount(bins, weights=spread, minlength=_LAST_BIN + 1)

    def loss_db(self, gain_db: float, ceiling_dbtp: float) -> float:
        """Return by how much a limiter behind this gain lowers the loudness, in dB, 0 or more."""
        peaks_db = (np.arange(_LAST_BIN + 1) + 0.5) * _BIN_DB + gain_db
        over_db = np.maximum(peaks_db - 20.0 * log10(ceiling_in_steps(ceiling_dbtp)), 0.0)
        total = self._energies.sum()
        left = (self._energies * 10.0 ** (-over_db / 10.0)).sum()
        return float(10.0 * np.log10(total / left)) if total > 0.0 else 0.0

    def gain_db(self, wanted_db: float, ceiling_dbtp: float) -> float:
        """Return the gain that makes the stream louder by `wanted_db` although a limiter follows."""
        low, high = wanted_db, wanted_db + MAX_MAKE_UP_DB
        for _ in range(_NUM_HALVINGS):
            middle = (low + high) / 2
            if middle - self.loss_db(middle, ceiling_dbtp) < wanted_db:
                low = middle
            else:
                high = middle
        return low
