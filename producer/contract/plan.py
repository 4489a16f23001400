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
    CHAPTER = "chapter"  #: the next one begins a chapter
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
    #: Index of its chapter.
    chapter: int = 0
    #: Who speaks it; None: the chapter's voice or the narration's.
    voice: str | None = None
    #: Seconds of silence after it that a mark in the text asks for; None: what the boundary brings.
    pause_after_s: float | None = None
    #: Which take of this text it is; 0 unless it was spoken once more.
    take: int = 0


class PlanChapter(BaseModel):
    """A chapter and its segments."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str
    #: Span in the original text, in characters.
    start: int
    end: int
    first_segment: int
    #: 0 if there is nothing in it to say.
    num_segments: int


class Plan(BaseModel):
    """The segments of a narration, in order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    narration_id: str
    text_sha256: str
    num_chars: int
    segments: tuple[Segment, ...]
    #: Empty if the narration names none.
    chapters: tuple[PlanChapter, ...] = ()
