"""FFmpeg's own meter of loudness and true peak, to hold ours against."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray


def read_by_ffmpeg(pcm: NDArray[np.int16], rate_hz: int) -> dict[str, str]:
    """Return what its filter `ebur128` says at the end of the samples: `lavfi.r128.I`, `lavfi.r128.true_peak`, ..."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate_hz, format="s16", layout="mono")
    meter, sink = graph.add("ebur128", "peak=true:metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    source.push(frame)
    source.push(None)
    found: dict[str, str] = {}
    while True:
        try:
            found |= sink.pull().metadata
        except (av.error.BlockingIOError, av.error.EOFError):
            return found
