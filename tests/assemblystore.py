"""An object store in a dictionary, with what an assembly needs of one, and plans and takes to assemble."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.manifest import TakeFacts
from producer.contract.plan import Boundary, Plan, PlanChapter, Segment
from producer.storage import ObjectNotFoundError
from worker.audio import encode_segment

NARRATION_ID = "a" * 26


class MemoryUpload:
    """What `MultipartUpload` does, into a dictionary."""

    def __init__(self, objects: dict[str, bytes], key: str) -> None:
        self._objects = objects
        self._key = key
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def tell(self) -> int:
        return len(self._data)

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._objects[self._key] = bytes(self._data)


class MemoryStore:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.num_gets: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.num_gets[key] += 1
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectNotFoundError(key) from None

    def upload(self, key: str, content_type: str) -> MemoryUpload:
        return MemoryUpload(self.objects, key)


def stored_take(
    index: int, pcm: NDArray[np.floating], store: MemoryStore, rate_hz: int = 24_000, **facts: Any
) -> TakeFacts:
    """Put a take into the store and return what the ledger keeps of it."""
    key = f"segments/{index}.flac"
    store.objects[key] = encode_segment(pcm, rate_hz)
    known = {"seed": index, "is_reused": index % 2 == 0, "synthesis_s": 0.1, "worker": "w"}
    return TakeFacts(key=key, num_samples=len(pcm), sample_rate_hz=rate_hz, **{**known, **facts})


def chaptered_plan(*lengths: int, pauses_s: Sequence[float | None] = ()) -> Plan:
    """Return a plan whose chapters have so many segments each, with the pauses that marks ask for."""
    num_segments = sum(lengths)
    asked = [*pauses_s, *[None] * num_segments]
    segments, chapters = [], []
    for number, length in enumerate(lengths):
        first = len(segments)
        chapters.append(
            PlanChapter(
                title=f"Part {number}",
                start=10 * first,
                end=10 * (first + length),
                first_segment=first,
                num_segments=length,
            )
        )
        for index in range(first, first + length):
            boundary = Boundary.CHAPTER if index == first + length - 1 else Boundary.SENTENCE
            segments.append(
                Segment(
                    index=index,
                    text=f"Segment {index}.",
                    start=10 * index,
                    end=10 * index + 9,
                    boundary=Boundary.END if index == num_segments - 1 else boundary,
                    chapter=number,
                    pause_after_s=asked[index],
                )
            )
    return Plan(
        narration_id=NARRATION_ID,
        text_sha256="",
        num_chars=10 * num_segments,
        segments=tuple(segments),
        chapters=tuple(chapters),
    )
