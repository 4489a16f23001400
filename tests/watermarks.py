"""Finds the watermark in a finished audio file, as the package's own detector does."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def watermark_in(path: Path) -> float:
    """Return the mean of the watermark's bits as the package's own detector reads them: 1.0 is there, 0.0 is not."""
    import perth

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    pcm = np.concatenate(frames, axis=1)[0]
    pcm = pcm / 32768 if pcm.dtype == np.int16 else pcm
    return float(np.mean(perth.PerthImplicitWatermarker().get_watermark(pcm.astype(np.float32), sample_rate=rate_hz)))
