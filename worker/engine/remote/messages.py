"""What a worker process and its engine process say to each other.

Knows nothing of how it gets there. Both sides are of one version: they are started together, from the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from producer.contract.narration import EngineName
from worker.engine.protocol import EngineHealth
from worker.engine.remote.facts import Facts, ServedEngine
from worker.engine.request import SegmentRequest, Take


class EngineMaker(Protocol):
    """Describes an engine and makes it in the engine process; small, picklable, and imports no engine by itself."""

    @property
    def name(self) -> EngineName:
        """Which engine it makes."""
        ...

    def make(self) -> ServedEngine:
        """Return the engine, not loaded yet."""
        ...


class Order(Enum):
    """What takes long, one at a time; each is answered with an `Answer`."""

    LOAD = "load"
    WARM_UP = "warm_up"


@dataclass(frozen=True, slots=True)
class Opening:
    """The first message to an engine process; answered like an order."""

    maker: EngineMaker
    log_level: str


@dataclass(frozen=True, slots=True)
class Close:
    """The last message to an engine process; it answers by ending."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Speak:
    """A segment; answered with `Begun`, perhaps, and with `Ended`."""

    number: int
    request: SegmentRequest


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody wants a segment any more, whether it has been begun or not."""

    number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an opening or an order: what is known of the engine now, or why there is none."""

    facts: Facts | None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """The engine has begun to speak a segment."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A segment's end: its take, its error, or None if it was given up."""

    number: int
    outcome: Take | BaseException | None


@dataclass(frozen=True, slots=True)
class Report:
    """How the engine does; sent several times a second, and at least once, for as long as it lives."""

    health: EngineHealth


ToEngine = Opening | Order | Close | Speak | GiveUp
FromEngine = Answer | Begun | Ended | Report
