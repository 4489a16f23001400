"""What the gate says of a take, as it lies with its audio in the segment cache. Knows nothing of FLAC.

It holds no text, only numbers: whoever may read the audio may read it, but logs and listings show it too.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.audio.words import FIELD, MAX_NUMBERS, Words, pack
from worker.quality.examiner import CHECKS_VERSION

#: Characters of a record; a comment that is longer is none of ours.
MAX_CHARS: Final = 2_000


class TakeRecord(BaseModel):
    """How a take came out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Of the checks that looked at it.
    version: Annotated[int, Field(ge=1)] = CHECKS_VERSION
    #: Which checks did: `signal`, `asr`.
    checks: Annotated[tuple[Annotated[str, Field(max_length=40)], ...], Field(max_length=10)] = ()
    flags: Annotated[tuple[Annotated[str, Field(max_length=40)], ...], Field(max_length=40)] = ()
    score: Annotated[float, Field(ge=0, le=1)]
    #: The seed that it was spoken with.
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    #: Takes that were made until this one was kept.
    num_takes: Annotated[int, Field(ge=1, le=1_000)] = 1
    #: When its words are said (`worker.audio.words`); empty: not known. Nothing that a check looks at.
    words: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=MAX_NUMBERS)] = ()

    def comment(self) -> str:
        """Return it as it is written; without its words if they would make it too long."""
        fields = self.model_dump(mode="json")
        with_words = json.dumps(fields, separators=(",", ":"))
        if self.words and len(with_words) <= MAX_CHARS:
            return with_words
        del fields[FIELD]
        return json.dumps(fields, separators=(",", ":"))

    def with_words(self, words: Words) -> Self:
        """Return the same with the words of its take."""
        return self.model_copy(update={FIELD: pack(words)})

    def facts(self) -> dict[str, Any]:
        """Return what `TakeFacts` says of it too; the seed is the caller's to set."""
        return {"flags": self.flags, "score": self.score, "num_takes": self.num_takes, "checks": self.checks}

    @classmethod
    def parse(cls, comment: str | None) -> Self | None:
        """Return what a comment says; None if it says nothing, or nothing that the present checks stand for."""
        if not comment or len(comment) > MAX_CHARS:
            return None
        try:
            record = cls.model_validate_json(comment)
        except ValidationError:
            return None
        return record if record.version == CHECKS_VERSION else None
