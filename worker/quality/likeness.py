"""How alike a take is to itself some time later: what comes again, whatever it is.

Self-similarity (Foote 1999, "Visualizing music and audio using self-similarity") of band energies without their mean,
so that the colour of a voice does not count as likeness. Knows nothing of faults. Legend: F frames, M bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from worker.quality.sound import Sound

#: dB below the threshold of what is active, at which bands are cut off: what is quieter is noise of the numbers.
_DEPTH_DB: Final = 30.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """The speech of a take, from its first active frame to its last."""

    #: [F, M] float32: unit vectors; zero where nothing is said.
    vectors: NDArray[np.float32]
    #: [F] bool: where something is said.
    is_active: NDArray[np.bool_]

    @classmethod
    def of(cls, sound: Sound) -> Self:
        """Return what an analysed take, which is not silent, is compared with itself by."""
        first, end = sound.span
        is_active = sound.is_active[first:end]
        bands_db = np.maximum(sound.bands_db[first:end], sound.threshold_db - _DEPTH_DB)
        # Over three frames: a turn that is a little slower than the other falls between its frames.
        padded = np.pad(bands_db, ((1, 1), (0, 0)), mode="edge")
        smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
        smooth -= smooth[is_active].mean(axis=0)
        smooth -= smooth.mean(axis=1, keepdims=True)
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-6)
        smooth[~is_active] = 0.0
        return cls(smooth.astype(np.float32), is_active)

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.is_active)

    def later(self, first_lag: int, num_lags: int, step: int = 1) -> NDArray[np.float32]:
        """Return [num_lags, F]: how alike each frame and a later one are, -1 to 1; one row for each lag.

        It is 0 where one of both is silent, and where there is no later frame.

        Args:
            first_lag: frames by which the later frame of the first row is later; at least 1.
            num_lags: rows.
            step: by how many frames more it is later in each further row.
        """
        num_frames = self.num_frames
        width = num_frames + first_lag + num_lags * step
        # All products in one call: one for each lag would be a hundred short ones, each of which lets go of the GIL.
        alike = np.zeros((num_frames, width), np.float32)
        np.matmul(self.vectors, self.vectors.T, out=alike[:, :num_frames])
        row, column = alike.strides
        return as_strided(alike[:, first_lag:], (num_lags, num_frames), (step * column, row + column), writeable=False)
