"""Texts whose every paragraph is one segment that can be told from all others, and the check that audio holds them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from producer import Narration
from worker.engine.fingerprint import decode_tones, tone_hash

#: In every text; must be in no log and in no key of Redis.
CANARY = "quetzalcanary"


@dataclass(frozen=True, slots=True)
class Book:
    """A text of ours."""

    paragraphs: tuple[str, ...]

    @classmethod
    def of(cls, name: str, num_segments: int, *, poisons: Sequence[str] = ()) -> Book:
        """Return a book whose name makes it differ from all others; each poison gets a paragraph in its midst."""
        paragraphs = [f"The {CANARY} of {name} says paragraph {number} here." for number in range(num_segments)]
        for number, poison in enumerate(poisons):
            at = (number + 1) * num_segments // (len(poisons) + 1) + number
            paragraphs.insert(at, f"The {CANARY} of {name} meets {poison} as number {number}.")
        return cls(tuple(paragraphs))

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n\n".join(self.paragraphs)

    @property
    def hashes(self) -> list[str]:
        """What its audio says, in order."""
        return [tone_hash(paragraph) for paragraph in self.paragraphs]

    def narration(self, **fields: object) -> Narration:
        """Return the request to narrate it."""
        return Narration(text=self.text, **{"engine": "tone", "format": "flac", **fields})  # type: ignore[arg-type]


def hashes_in(audio: bytes) -> list[str]:
    """Return what finished audio of any format says, read from its samples."""
    with av.open(io.BytesIO(audio)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    pcm = np.concatenate([frame.reshape(-1) for frame in frames])
    return decode_tones(pcm / 32768 if pcm.dtype == np.int16 else pcm, rate_hz)
