"""Takes for benchmarks of the assembly: made once, kept in memory, and read again and again, in a plan of any length.

Knows nothing of what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.manifest import TakeFacts
from producer.contract.plan import Boundary, Plan, PlanChapter, Segment
from worker.audio import encode_segment
from worker.audio.pauses import PAUSES_MS

#: Real speech, said once by the draft voice and repeated; what a codec costs depends on what it is given.
SENTENCES: Final = (
    "Mr. Hale had kept the light for thirty-one years, and he had never once let it go out.",
    "The sea was three and a half miles off, and the wind had turned to the north with a great noise.",
    "Nobody in the village remembered who had built the tower, or why it stood so far from the harbour.",
    "She put the lamp on the table, sat down, and began to read aloud from the letter.",
)
#: Sentences in a paragraph.
SENTENCES_PER_PARAGRAPH: Final = 5
CHAPTERS_PER_HOUR: Final = 12
#: Takes of noise that differ, seconds of each, and its sample rate: what a model with random weights speaks.
NUM_NOISES: Final = 4
NOISE_S: Final = 12.2
NOISE_RATE_HZ: Final = 24_000


class Nowhere:
    """An upload that forgets."""

    size_bytes = 0
    sha256 = ""

    def write(self, data: bytes) -> int:
        """Take bytes."""
        return len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class TakesInMemory:
    """Segments in a dictionary, and uploads that forget."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects

    def get(self, key: str) -> bytes:
        """Return a take's file."""
        return self._objects[key]

    def upload(self, _key: str, _content_type: str) -> Any:
        """Return where the audio goes."""
        return Nowhere()


def spoken_takes() -> tuple[dict[str, bytes], list[TakeFacts]]:
    """Return key -> file, and facts, of a few sentences that the draft voice says."""
    from hibari import SAMPLE_RATE, Hibari

    voice = Hibari(threads=1)
    return _stored([voice(sentence, seed=0) for sentence in SENTENCES], SAMPLE_RATE)


def noise_takes() -> tuple[dict[str, bytes], list[TakeFacts]]:
    """Return key -> file, and facts, of a few takes of noise: the limiter and the true-peak meter never rest."""
    random = np.random.default_rng(0)
    num_samples = round(NOISE_S * NOISE_RATE_HZ)
    levels = (np.repeat(random.uniform(0.03, 0.15, num_samples // 1_200 + 1), 1_200) for _ in range(NUM_NOISES))
    noises = [random.standard_normal(num_samples) * each[:num_samples] for each in levels]
    return _stored([np.clip(noise, -1.0, 1.0).astype(np.float32) for noise in noises], NOISE_RATE_HZ)


def _stored(sounds: Sequence[NDArray[Any]], rate_hz: int) -> tuple[dict[str, bytes], list[TakeFacts]]:
    objects, takes = {}, []
    for index, pcm in enumerate(sounds):
        key = f"segments/{index}.flac"
        objects[key] = encode_segment(pcm, rate_hz)
        facts = {"num_samples": len(pcm), "sample_rate_hz": rate_hz, "seed": 0, "synthesis_s": 0.0, "worker": "-"}
        takes.append(TakeFacts(key=key, is_reused=False, **facts))
    return objects, takes


def plan_of(takes: list[TakeFacts], hours: float) -> tuple[Plan, dict[int, TakeFacts]]:
    """Return a plan of about so many hours in even chapters, and the take of each of its segments."""
    one_s = sum(take.num_samples / take.sample_rate_hz for take in takes) / len(takes)
    per_chapter = round(3_600 / CHAPTERS_PER_HOUR / (one_s + PAUSES_MS[Boundary.SENTENCE] / 1_000))
    num_chapters = round(hours * CHAPTERS_PER_HOUR)
    chapters = tuple(
        PlanChapter(
            title=f"Chapter {index + 1}",
            start=index * per_chapter,
            end=(index + 1) * per_chapter,
            first_segment=index * per_chapter,
            num_segments=per_chapter,
        )
        for index in range(num_chapters)
    )
    indexes = range(num_chapters * per_chapter)
    segments = tuple(
        Segment(index=index, text="x", start=index, end=index + 1, boundary=_boundary(index + 1, per_chapter))
        for index in indexes
    )
    plan = Plan(narration_id="a" * 26, text_sha256="", num_chars=len(segments), segments=segments, chapters=chapters)
    return plan, {index: takes[index % len(takes)] for index in indexes}


def _boundary(next_index: int, per_chapter: int) -> Boundary:
    if next_index % per_chapter == 0:
        return Boundary.CHAPTER
    return Boundary.PARAGRAPH if next_index % SENTENCES_PER_PARAGRAPH == 0 else Boundary.SENTENCE
