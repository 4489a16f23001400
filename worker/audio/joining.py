"""One take as it stands in the finished audio: what is heard of it, faded at both ends, and its pause.

Knows nothing of where it comes from or goes to.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.audio.trimming import Span

#: Milliseconds over which each take swells and fades: one that begins away from zero would click.
EDGE_FADE_MS: Final = 4


def joined(pcm: NDArray[np.int16], heard: Span, pause_samples: int, rate_hz: int) -> NDArray[np.int16]:
    """Return the heard part of a take and the silence after it: [heard.num_samples + pause_samples] int16."""
    result = np.zeros(heard.num_samples + pause_samples, np.int16)
    speech = result[: heard.num_samples]
    speech[:] = pcm[heard.start_samples : heard.start_samples + heard.num_samples]
    _fade_edges(speech, EDGE_FADE_MS * rate_hz // 1_000)
    return result


def _fade_edges(samples: NDArray[np.int16], num_faded: int) -> None:
    """Fade the samples in and out, in place."""
    num_faded = min(num_faded, len(samples) // 2)
    ramp = np.arange(num_faded, dtype=np.float32) / max(num_faded, 1)
    samples[:num_faded] = np.rint(samples[:num_faded] * ramp)
    samples[len(samples) - num_faded :] = np.rint(samples[len(samples) - num_faded :] * ramp[::-1])
