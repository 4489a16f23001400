"""From what was measured to one gain for the whole narration, so that its chapters keep their relation.

Knows nothing of files. The gain is linear: speech gets louder as a whole, and a limiter touches single peaks only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producer.contract.loudness import LoudnessTarget
from worker.audio.forecast import LimiterForecast
from worker.audio.limiter import Gain, Leveller, Limiter, ceiling_in_steps
from worker.audio.truepeak import MAX_OVERSHOOT

#: dB that a narration is made louder at most. Engines speak at -30 LUFS or louder; what is below -50 is noise.
MAX_GAIN_DB: Final = 30.0

#: Decimal places of the gain, as the manifest keeps it.
GAIN_DECIMALS: Final = 2

#: dB by which an earlier gain may be off; the promise is 0.3 LU.
MAX_DRIFT_DB: Final = 0.2


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the first pass over the takes has found."""

    #: None: silence.
    integrated_lufs: float | None
    forecast: LimiterForecast


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What the second pass does to every sample."""

    gain_db: float = 0.0
    #: None: no peak can rise above it.
    ceiling_dbtp: float | None = None

    def leveller(self, rate_hz: int) -> Leveller:
        """Return what does it to one stream."""
        gain = 10.0 ** (self.gain_db / 20.0)
        return Gain(gain) if self.ceiling_dbtp is None else Limiter(rate_hz, gain, self.ceiling_dbtp)


def adjustment_for(
    measured: Measurement, target: LoudnessTarget, *, earlier_gain_db: float | None = None
) -> Adjustment:
    """Return what brings a narration to its target; silence stays as it is.

    What would have to be raised by more than `MAX_GAIN_DB`, or to be pressed by the limiter by more than
    `forecast.MAX_MAKE_UP_DB`, stays below the target, and the manifest says so.

    Args:
        measured: what the takes are.
        target: what they should become.
        earlier_gain_db: of the audio in which some takes are replaced. It is kept if it brings the narration near
            enough to its target, so that nothing changes but those takes.
    """
    ceiling_dbtp = target.max_true_peak_dbtp
    if measured.integrated_lufs is None:
        gain_db = 0.0
    else:
        wanted_db = min(target.integrated_lufs - measured.integrated_lufs, MAX_GAIN_DB)
        gain_db = round(measured.forecast.gain_db(wanted_db, ceiling_dbtp), GAIN_DECIMALS)
        if earlier_gain_db is not None and abs(earlier_gain_db - gain_db) <= MAX_DRIFT_DB:
            gain_db = earlier_gain_db
    highest = measured.forecast.sample_peak * MAX_OVERSHOOT * 10.0 ** (gain_db / 20.0)
    return Adjustment(gain_db, ceiling_dbtp if highest > ceiling_in_steps(ceiling_dbtp) else None)
