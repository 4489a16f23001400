"""A registered voice: reference audio in S3, its hash, and the consent to use it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.narration import SCHEMA_VERSION


class Voice(BaseModel):
    """The record `voices/<name>.json`; the audio is `voices/<sha256>.wav`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    name: str
    #: Of the stored file: mono 16-bit PCM WAV at the recording's own rate.
    sha256: str
    duration_s: float
    sample_rate_hz: int
    #: Who agreed, to what, when: kept as it was given.
    consent: str = Field(min_length=1, max_length=2_000)
    added_at: datetime
    #: Codes of what makes it worse than it could be; see docs/voices.md.
    warnings: tuple[str, ...] = ()
