"""A chapter as the user hands it in. Knows nothing of documents or of segments."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

#: Chapters in one narration. A Bible has 1,189.
MAX_CHAPTERS: Final = 2_000


class Chapter(BaseModel):
    """Where a chapter begins, and what it is called."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Annotated[str, Field(max_length=500)]
    #: Position of its first character in the narration's text.
    start: Annotated[int, Field(ge=0)]
    #: Who reads it; None: the narration's voice.
    voice: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None = None
