"""The ear's weighting that loudness is measured with: K-weighting of ITU-R BS.1770-5, Annex 1. Knows nothing of blocks.

Two filters in a row: a shelf that lifts what lies above 2 kHz, as a head does, and a high pass at 38 Hz.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: The standard gives coefficients for 48 kHz only. These are the analogue filters behind them, found by Brecht De Man
#: ("Evaluation of Implementations of the EBU R128 Loudness Measurement", AES 145, 2018); libebur128 and FFmpeg use the
#: same. At 48 kHz they give the table's numbers to the last digit.
_SHELF_HZ: Final = 1681.974450955533
_SHELF_GAIN_DB: Final = 3.999843853973347
_SHELF_Q: Final = 0.7071752369554196
#: The gain at the corner is the full gain, in dB, times this.
_SHELF_CORNER: Final = 0.4996667741545416
_HIGH_PASS_HZ: Final = 38.13547087602444
_HIGH_PASS_Q: Final = 0.5003270373238773

Coefficients = tuple[float, float, float]


def shelf(rate_hz: int) -> tuple[Coefficients, Coefficients]:
    """Return the numerator and the denominator of the first filter, in powers of 1/z; the denominator begins with 1."""
    k = math.tan(math.pi * _SHELF_HZ / rate_hz)
    high = 10.0 ** (_SHELF_GAIN_DB / 20.0)
    band = high**_SHELF_CORNER
    scale = 1.0 + k / _SHELF_Q + k * k
    tilt = band * k / _SHELF_Q
    numerator = ((high + tilt + k * k) / scale, 2.0 * (k * k - high) / scale, (high - tilt + k * k) / scale)
    return numerator, (1.0, 2.0 * (k * k - 1.0) / scale, (1.0 - k / _SHELF_Q + k * k) / scale)


def high_pass(rate_hz: int) -> tuple[Coefficients, Coefficients]:
    """Return the numerator and the denominator of the second filter."""
    k = math.tan(math.pi * _HIGH_PASS_HZ / rate_hz)
    scale = 1.0 + k / _HIGH_PASS_Q + k * k
    return (1.0, -2.0, 1.0), (1.0, 2.0 * (k * k - 1.0) / scale, (1.0 - k / _HIGH_PASS_Q + k * k) / scale)


def power_response(rate_hz: int, num_samples: int) -> NDArray[np.float32]:
    """Return what both filters do to the power at the frequencies of a real transform.

    Returns:
        [num_samples // 2 + 1] float32.
    """
    inverse_z = np.exp(-2j * np.pi * np.arange(num_samples // 2 + 1) / num_samples)
    powers = np.stack([np.ones_like(inverse_z), inverse_z, inverse_z**2])
    response = np.ones_like(inverse_z)
    for numerator, denominator in (shelf(rate_hz), high_pass(rate_hz)):
        response *= np.array(numerator) @ powers / (np.array(denominator) @ powers)
    power: NDArray[np.float32] = np.square(np.abs(response)).astype(np.float32)
    return power
