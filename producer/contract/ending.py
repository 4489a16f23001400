"""What S3 keeps of a narration so that it can be put back when Redis has lost it: how it ended, and who speaks it.

The request, the plan and the manifest say the rest. Knows nothing of who writes and reads them.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from producer.contract.narration import SCHEMA_VERSION
from producer.contract.status import State


class Ending(BaseModel):
    """The end of a narration that left no manifest, stored as `ended.json`: it must not rise again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    narration_id: str
    #: CANCELLED, FAILED or EXPIRED; None: it was deleted, and nothing of it is put back.
    state: State | None
    reason_code: str | None = None
    reason: str | None = None
    #: Whose pack of requests may still hold its request.
    batch_id: str | None = None
    finished_at: datetime


class EnginePin(BaseModel):
    """Which engine a narration was begun with, stored as `engine.json`: its other segments must sound the same."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    #: Engine, model, revision and precision; a part of every segment's key.
    engine_identity: str


def ending_key(narration_id: str) -> str:
    """Return the key of a narration's end mark."""
    return f"narrations/{narration_id}/ended.json"


def pin_key(narration_id: str) -> str:
    """Return the key of the engine that a narration was begun with."""
    return f"narrations/{narration_id}/engine.json"
