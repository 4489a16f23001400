"""Another sample rate for a row of samples, by matrix products that do what librosa's resampler does.

Knows nothing of watermarks. librosa resamples on the CPU, one signal after the other. Its resampler (soxr) is linear
and repeats itself, so what it makes of single impulses says all about it, and a device can do the same.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch  # noqa: TID253 - the watermark is applied where the GPU is

#: Samples to each side that count, at the rate of the input. Beyond 127 of them the response is below 1e-7.
_REACH_SAMPLES: Final = 240

#: Blocks of a row that are computed at once have this many repetitions of the filter's pattern.
_NUM_REPEATS: Final = 80


class Resampler:
    """Resamples rows to `to_hz` as `librosa.resample` does.

    Attributes:
        num_in: samples of a block that goes in.
        num_out: samples of a block that comes out.
    """

    def __init__(self, from_hz: int, to_hz: int, device: torch.device) -> None:
        """Measure librosa's resampler: some ten milliseconds, and a few seconds for the first import of librosa."""
        common = math.gcd(from_hz, to_hz)
        self.num_in, self.num_out = from_hz // common * _NUM_REPEATS, to_hz // common * _NUM_REPEATS
        self._matrix = torch.from_numpy(_measure(from_hz, to_hz, self.num_in, self.num_out)).to(device)

    def resample(self, samples: torch.Tensor) -> torch.Tensor:
        """Return a row of samples, [num_out * B] float32, of [num_in * B] float32; silence lies before and behind."""
        padded = torch.nn.functional.pad(samples, (_REACH_SAMPLES, _REACH_SAMPLES))
        blocks = padded.unfold(0, self.num_in + 2 * _REACH_SAMPLES, self.num_in)
        return (blocks.contiguous() @ self._matrix).flatten()


def _measure(from_hz: int, to_hz: int, num_in: int, num_out: int) -> np.ndarray:
    """Return what each input sample, from `_REACH_SAMPLES` before a block on, adds to the block's output.

    Returns:
        [num_in + 2 * _REACH_SAMPLES, num_out] float32.
    """
    import librosa

    phases, steps = num_in // _NUM_REPEATS, num_out // _NUM_REPEATS
    # The impulse stands where neither end of the signal can be heard.
    num_repeats = 4 * (_REACH_SAMPLES // phases) + 8 * _NUM_REPEATS
    signals = np.zeros((phases, num_repeats * phases))
    middle = num_repeats // 2
    signals[np.arange(phases), middle * phases + np.arange(phases)] = 1.0
    responses = librosa.resample(signals, orig_sr=from_hz, target_sr=to_hz)
    inputs = np.arange(-_REACH_SAMPLES, num_in + _REACH_SAMPLES)[:, None]
    outputs = np.arange(num_out)[None, :]
    taps: np.ndarray[Any, Any] = responses[inputs % phases, middle * steps + outputs - inputs // phases * steps]
    return taps.astype(np.float32)
