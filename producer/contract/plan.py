"""How a text was cut: the plan of a narration, stored as `plan.json`.

Knows nothing of audio; lengths in samples come with the takes.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from producer.contract.narration import SCHEMA_VERSION


class Boundary(StrEnum):
    """What stands between a segment and the next one; it decides the pause."""

    CLAUSE = "clause"  #: a sentence that was too long goes on
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"
    HEADING = "heading"  #: before or after a heading
    END = "end"  #: the last segment


class Segment(BaseModel):
    """The piece of text that one model pass speaks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int
    #: What is spoken: white space folded, control characters gone.
    text: str
    #: Span in the original text, in characters, `original[start:end]`.
    start: int
    end: int
    #: What follows this segment.
    boundary: Boundary


class Plan(BaseModel):
    """The segments of a narration, in order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    narration_id: str
    text_sha256: str
    num_chars: int
    segments: tuple[Segment, ...]
