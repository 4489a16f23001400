"""The Perth watermark: whether the real one is installed, and whether it is in a piece of audio.

Knows nothing of engines. chatterbox-tts applies the watermark itself; this module only makes sure.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.errors import WatermarkError

#: Detector output from which the watermark counts as found. It gives 0.99 and more with it and under 0.1 without.
MIN_DETECTION: Final = 0.9


def check_watermarker(watermarker: Any = None) -> None:
    """Check that the real watermarker is installed and, if one is given, that it is of that class.

    resemble-perth hides a failed import: without `pkg_resources` its class is silently None, and it also ships a
    stand-in that marks nothing.

    Raises:
        WatermarkError: if audio would come out without a watermark.
    """
    import perth

    real = perth.PerthImplicitWatermarker
    if real is None:
        raise WatermarkError(
            "resemble-perth is installed without its watermarker: it needs pkg_resources, "
            "so install `setuptools<81` beside it"
        )
    if watermarker is not None and type(watermarker) is not real:
        raise WatermarkError(
            f"the model watermarks with {type(watermarker).__name__}, not with Perth's {real.__name__}"
        )


def detect_watermark(watermarker: Any, pcm: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Return how surely the watermark is in [num_samples] audio, 0 to 1."""
    import torch

    with torch.inference_mode():
        return float(np.mean(watermarker.get_watermark(pcm, sample_rate=sample_rate_hz, round=False)))
