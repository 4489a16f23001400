"""The one global of a worker process: what was built and warmed. `worker.app` sets it, the tasks read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from worker.narration.lease import LeaseBook


class NarrationWork(Protocol):
    """The work on a narration as a whole: planning or assembling it."""

    def run(self, narration_id: str) -> None: ...  # noqa: D102


class SegmentWork(Protocol):
    """The work on one segment."""

    def run(self, narration_id: str, index: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the tasks use."""

    planner: NarrationWork
    synthesizer: SegmentWork
    assembler: NarrationWork
    book: LeaseBook


_current: Runtime | None = None


def install(runtime: Runtime) -> None:
    """Make this the runtime of the process."""
    global _current
    _current = runtime


def current() -> Runtime:
    """Return the runtime of the process."""
    assert _current is not None, "a task ran before the worker was started"
    return _current
