"""How loud finished audio is meant to be, after EBU R 128 (ITU-R BS.1770-5). Knows nothing of how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict


class LoudnessPreset(StrEnum):
    """What the audio is for."""

    AUDIOBOOK = "audiobook"
    PODCAST = "podcast"
    BROADCAST = "broadcast"
    OFF = "off"  #: as the engine made it


@dataclass(frozen=True, slots=True)
class LoudnessTarget:
    """Both limits of a preset."""

    #: LUFS over the whole of the audio.
    integrated_lufs: float
    #: dBTP that no sample between the samples may exceed.
    max_true_peak_dbtp: float


#: Retailers of audiobooks want an RMS of -23 to -18 dB and peaks below -3 dB; podcasts are played at -16 LUFS (mono
#: -19 by some), broadcast at -23 (EBU R 128).
TARGETS: Final = {
    LoudnessPreset.AUDIOBOOK: LoudnessTarget(-19.0, -3.0),
    LoudnessPreset.PODCAST: LoudnessTarget(-16.0, -1.0),
    LoudnessPreset.BROADCAST: LoudnessTarget(-23.0, -1.0),
}


class LoudnessFacts(BaseModel):
    """What was measured and done, as the manifest says it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: None: `off`.
    target_lufs: float | None
    #: Of the takes as they are joined, before the gain.
    measured_lufs: float | None
    gain_db: float
    #: Of the finished audio before it was encoded.
    integrated_lufs: float | None
    true_peak_dbtp: float | None
