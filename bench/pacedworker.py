"""The engine of `bench.feeding` in place of the worker's own.

Put in from outside before the worker starts; the product has no such hook. Without that name the process ends at once.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from bench.pacedengine import Pace, PacedEngine

VARIABLE: Final = "CHATTERQUEUE_PACE"


def pace_to_environment(pace: Pace) -> dict[str, str]:
    """Return what tells the worker."""
    said = {
        "num_slots": pace.num_slots,
        "x_real_time": pace.x_real_time,
        "sound": str(pace.sound),
        "notes": str(pace.notes),
    }
    return {VARIABLE: json.dumps(said)}


def install() -> None:
    """Replace the engine."""
    said = json.loads(os.environ[VARIABLE])
    from worker import process

    if not callable(process.build_engine):
        raise TypeError("worker.process.build_engine is no function")
    pace = Pace(said["num_slots"], said["x_real_time"], Path(said["sound"]), Path(said["notes"]))
    engine = PacedEngine(pace)
    process.build_engine = lambda name, settings: engine  # type: ignore[assignment,return-value]
