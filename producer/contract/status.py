"""Where a narration stands: its states and the record that `status` returns.

Knows nothing of Redis; the ledger fills it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from producer.contract.narration import SCHEMA_VERSION


class State(StrEnum):
    """The states of a narration, as they are stored and printed."""

    QUEUED = "queued"  #: accepted; its text waits to be split
    RUNNING = "running"  #: split; its segments are being synthesized
    FINALIZING = "finalizing"  #: every segment has ended; the audio is being assembled
    SUCCEEDED = "succeeded"  #: whole
    PARTIAL = "partial"  #: some segments failed; the manifest says which
    FAILED = "failed"  #: no audio
    CANCELLED = "cancelled"
    EXPIRED = "expired"  #: not finished by its deadline

    @property
    def is_terminal(self) -> bool:
        """Say whether this state never changes again."""
        return self in TERMINAL_STATES


TERMINAL_STATES: Final = frozenset({State.SUCCEEDED, State.PARTIAL, State.FAILED, State.CANCELLED, State.EXPIRED})

#: Terminal states that come with audio.
STATES_WITH_AUDIO: Final = frozenset({State.SUCCEEDED, State.PARTIAL})


class NarrationStatus(BaseModel):
    """A snapshot of one narration."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    id: str
    state: State
    custom_id: str | None = None
    batch_id: str | None = None
    #: The narration that this one takes up again.
    retry_of: str | None = None
    #: The narration of which this one speaks some segments once more.
    redo_of: str | None = None
    title: str | None = None
    engine: str
    #: Identity of the model that speaks (engine, model, revision, precision); pinned by the first segment.
    engine_identity: str | None = None
    voice: str
    language: str
    format: str
    priority: str
    #: Why it ended as it did, or what it waits for: a stable code and a sentence.
    reason_code: str | None = None
    reason: str | None = None
    num_chars: int
    #: None until the text has been split.
    num_segments: int | None = None
    num_done: int = 0
    num_failed: int = 0
    #: Of `num_done`, those that were in the segment cache already.
    num_reused: int = 0
    #: Of `num_done`, those that the quality gate found fault with and kept, for want of a better take.
    num_flagged: int = 0
    #: Takes that were started, over all segments; more than `num_segments` means that work was done twice.
    num_attempts: int = 0
    #: Seconds of speech made so far, pauses not counted.
    audio_s: float = 0.0
    #: Seconds of engine time that it took, its share where an engine speaks many at once: on a GPU, GPU seconds.
    engine_s: float = 0.0
    #: Seconds of the finished audio, pauses included.
    duration_s: float | None = None
    size_bytes: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    #: When it expires unless it has begun, or is done, by then; None: never.
    deadline_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def progress(self) -> float:
        """Return the fraction of the segments that have ended, 0 to 1."""
        if self.state.is_terminal:
            return 1.0
        if not self.num_segments:
            return 0.0
        return (self.num_done + self.num_failed) / self.num_segments

    def elapsed_s(self, now: datetime | None = None) -> float:
        """Return the seconds since work began, until it ended or until `now`."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or now or datetime.now(UTC)) - self.started_at).total_seconds()

    def eta_s(self, now: datetime | None = None) -> float | None:
        """Return the seconds left at the speed so far; None while nothing is known."""
        if self.state.is_terminal:
            return 0.0
        if not self.num_segments or not self.num_done:
            return None
        ended = self.num_done + self.num_failed
        return self.elapsed_s(now) * (self.num_segments - ended) / ended

    def real_time_factor(self, now: datetime | None = None) -> float | None:
        """Return the seconds of audio made per second of wall time; None while nothing is known."""
        elapsed_s = self.elapsed_s(now)
        return (self.duration_s or self.audio_s) / elapsed_s if elapsed_s > 0 else None
