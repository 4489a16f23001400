"""One process's sign of life: a small file, rewritten every few seconds.

Knows nothing of who writes it and who looks: the heartbeat, the supervisor and the health check share it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

#: Seconds after which a pulse counts as stopped. Far more than the two seconds between two of them, because a
#: machine that is loading a model or encoding a book may not give the thread its turn.
STALE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a process says of itself."""

    #: The process's name in the ledger.
    name: str
    pid: int
    role: str
    #: Name of its engine; None without one.
    engine: str | None = None
    #: False while the model is being loaded.
    is_ready: bool = False
    is_draining: bool = False
    #: Segments in the engine.
    num_in_flight: int = 0
    #: Seconds without a finished take while work waits.
    stalled_s: float = 0.0
    #: `worker.engine.batching.gauges.Gauges` of an engine that speaks many segments at once.
    gauges: dict[str, float] | None = None
    #: Seconds since 1970.
    at_s: float = field(default_factory=time.time)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the pulse that `to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(str(error)) from error

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    def write(self, folder: Path, slot: str) -> None:
        """Put it where the others look; a reader sees the old one or this one, never half of it."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{slot}.{os.getpid()}.part"
        partial.write_text(self.to_json(), encoding="utf-8")
        partial.replace(pulse_path(folder, slot))

    def problem(self, stalled_after_s: float, now_s: float) -> str | None:
        """Return in words what is wrong with the process, or None."""
        age_s = now_s - self.at_s
        if age_s > STALE_S:
            return f"process {self.pid} gave no sign of life for {age_s:.0f} s"
        if not self.is_ready:
            return f"process {self.pid} is not ready"
        if self.stalled_s > stalled_after_s:
            return f"the engine of process {self.pid} has been stuck for {self.stalled_s:.0f} s"
        return None


def pulse_path(folder: Path, slot: str) -> Path:
    """Return the file of a slot."""
    return folder / f"{slot}.json"


def clear_dead(folder: Path) -> None:
    """Remove the pulses of processes that are gone, so that a kill -9 of long ago does not look like a fault."""
    for path in folder.glob("*.json"):
        try:
            pid = Pulse.from_json(path.read_bytes()).pid
        except (OSError, ValueError):
            path.unlink(missing_ok=True)
            continue
        if not _is_alive(pid):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
