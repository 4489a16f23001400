"""Where the speech in a take begins and ends. Knows nothing of texts or pauses.

Models leave anything from nothing to a second of silence at both ends of a take. What decides is the level compared
with the take's own speech and its own noise; in doubt nothing is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Windows in a second: 10 ms each.
_WINDOWS_PER_SECOND: Final = 100
#: Percentile of the windows' levels that stands for the speech: not the highest, which a single click would be.
_SPEECH_PERCENTILE: Final = 95.0
#: Percentile that stands for the noise between the words, if there is any silence in the take.
_NOISE_PERCENTILE: Final = 5.0
#: dB below the speech down to which anything counts as speech. The ends of words fade: a final f is 30 to 40 below.
_RANGE_DB: Final = 50.0
#: In a noisy take, whatever is this much above the noise counts, but always what is within `_MIN_RANGE_DB`.
_OVER_NOISE_DB: Final = 6.0
_MIN_RANGE_DB: Final = 42.0
#: What is left of the silence: before the speech for the attack of a stop, and behind it for the last of a breath.
LEAD_MS: Final = 30
TAIL_MS: Final = 60


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a take that is heard."""

    start_samples: int
    num_samples: int


def heard_span(pcm: NDArray[np.int16], rate_hz: int) -> Span:
    """Return the part of a take that is speech, with a margin; all of it if it is silent or too short to tell."""
    window = rate_hz // _WINDOWS_PER_SECOND
    if len(pcm) < 2 * window:
        return Span(0, len(pcm))
    whole = np.pad(pcm, (0, -len(pcm) % window)).reshape(-1, window).astype(np.float32)
    energies = np.einsum("ij,ij->i", whole, whole)
    found = np.flatnonzero(energies > _threshold(energies))
    if not found.size:
        return Span(0, len(pcm))
    start = max(int(found[0]) * window - LEAD_MS * rate_hz // 1_000, 0)
    end = min((int(found[-1]) + 1) * window + TAIL_MS * rate_hz // 1_000, len(pcm))
    return Span(start, end - start)


def _threshold(energies: NDArray[np.float32]) -> float:
    noise, speech = np.percentile(energies, (_NOISE_PERCENTILE, _SPEECH_PERCENTILE))
    lowest, highest = speech * 10.0 ** (-_RANGE_DB / 10.0), speech * 10.0 ** (-_MIN_RANGE_DB / 10.0)
    return float(np.clip(noise * 10.0 ** (_OVER_NOISE_DB / 10.0), lowest, highest))
