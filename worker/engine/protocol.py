"""What every engine can do. The worker knows engines by this Protocol only."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, Self

from producer.contract.narration import EngineName, ModelName
from worker.engine.batching.gauges import Gauges
from worker.engine.request import SegmentRequest, Take


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """What the engine's heartbeat says."""

    is_ready: bool
    num_in_flight: int
    num_finished: int
    #: Seconds since a take was last finished or begun while work was waiting; 0 when idle. To these, seconds for which
    #: an engine in a process of its own has said nothing.
    stalled_s: float
    #: Whether only a new process can go on.
    is_broken: bool = False
    #: Of an engine that speaks many segments at once.
    gauges: Gauges | None = None

    @classmethod
    def total(cls, healths: Iterable[Self]) -> Self:
        """Return how several do, as if they were one."""
        known = list(healths)
        return cls(
            is_ready=all(health.is_ready for health in known),
            num_in_flight=sum(health.num_in_flight for health in known),
            num_finished=sum(health.num_finished for health in known),
            stalled_s=max((health.stalled_s for health in known), default=0.0),
            is_broken=any(health.is_broken for health in known),
            gauges=Gauges.total(health.gauges for health in known if health.gauges is not None),
        )


class Engine(Protocol):
    """Turns segments into audio, as many at a time as it likes."""

    @property
    def name(self) -> EngineName:
        """Which engine this is; never AUTO."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of every take."""
        ...

    @property
    def is_watermarked(self) -> bool:
        """Whether every take carries the Perth watermark."""
        ...

    @property
    def num_slots(self) -> int:
        """How many segments it works on at once; the worker feeds it twice as many."""
        ...

    def load(self) -> None:
        """Load and check everything, once per process; blocks.

        Raises:
            WorkerStartError: this process must not take work.
        """
        ...

    def warm_up(self) -> None:
        """Speak once, so that the first segment is as fast as the hundredth; blocks.

        Raises:
            WorkerStartError: the first take is not usable.
        """
        ...

    def identity(self, model: ModelName) -> str:
        """Return what decides the sound beside the request: engine, model, revision, precision; as one string.

        Raises:
            EngineUnavailableError: if this engine does not have that model.
        """
        ...

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Queue a segment; returns at once. The future fails with a `SynthesisError`.

        A cancelled future is not begun. Takes are reproducible: equal requests give equal audio on the same machine.

        Raises:
            LanguageUnsupportedError: at once, if the engine does not speak the language.
            VoiceUnsupportedError: at once, if it has one voice only and another is asked for.
            EngineUnavailableError: at once, if it does not have the model.
            EngineFaultError: at once, after a fault that only a new process mends.
            DrainingError: at once, after `close`; also on the futures that `close` could not wait for.
        """
        ...

    def health(self) -> EngineHealth:
        """Return how it does; cheap, from any thread."""
        ...

    def close(self, timeout_s: float) -> None:
        """Take no more segments, wait for those being spoken, let go of everything."""
        ...
