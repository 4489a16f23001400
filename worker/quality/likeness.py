"""How alike a take is to itself some time later: what comes again, whatever it is.

Self-similarity (Foote 1999, "Visualizing music and audio using self-similarity") of band energies without their mean,
so that the colour of a voice does not count as likeness. Knows nothing of faults. Legend: F frames, M bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
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

    def later(self, lag: int) -> NDArray[np.float32]:
        """Return [F - lag]: how alike each frame and the one `lag` later are, -1 to 1; 0 where one is silent."""
        if not 0 < lag < self.num_frames:
            return np.zeros(0, np.float32)
        return np.asarray(np.einsum("fm,fm->f", self.vectors[:-lag], self.vectors[lag:]))
