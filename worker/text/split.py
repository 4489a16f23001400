"""A text into the plan of its narration. Knows nothing of what becomes of the plan.

The same text gives the same plan on every machine and in every process: whoever plans again after a crash finds
the segments that were spoken before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from producer.contract.chapter import Chapter
from producer.contract.plan import Boundary, Plan, PlanChapter, Segment
from worker.text.clean import CleanText, clean
from worker.text.cues import Cues
from worker.text.parts import Part, parts

#: What changes a text before it is split: the rules of a dictionary, numbers as words.
Rewrite = Callable[[CleanText], CleanText]


@dataclass(frozen=True, slots=True)
class _Chapter:
    """A chapter with what is spoken in it."""

    #: Where it begins in the clean text.
    start: int
    voice: str | None
    parts: list[Part]


def split(
    text: str,
    *,
    language: str,
    narration_id: str,
    chapters: Sequence[Chapter] = (),
    rewrite: Rewrite | None = None,
) -> Plan:
    """Return the plan of a text; it has no segments if nothing in it can be spoken.

    Args:
        text: anything; characters that nobody can hear are passed over.
        language: one of our codes; decides what ends a sentence.
        narration_id: whose plan it is.
        chapters: where each begins in the text, ascending, the first one at 0; no segment goes over their borders.
        rewrite: called once with the clean text; spans are those of the original all the same.
    """
    cleaned = clean(text)
    if rewrite:
        cleaned = rewrite(cleaned)
    cues = Cues(cleaned.marks)
    found = _chapters(cleaned, language, cues, chapters)
    return Plan(
        narration_id=narration_id,
        text_sha256=hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest(),
        num_chars=len(text),
        segments=tuple(_segments(found, cues, cleaned)),
        chapters=tuple(_plan_chapters(chapters, found, len(text))),
    )


def _chapters(cleaned: CleanText, language: str, cues: Cues, chapters: Sequence[Chapter]) -> list[_Chapter]:
    starts = [0, *cleaned.after([chapter.start for chapter in chapters[1:]])]
    voices = [chapter.voice for chapter in chapters] or [None]
    return [
        _Chapter(start, voice, parts(cleaned.text, language, cues, start=start, end=end))
        for voice, (start, end) in zip(voices, pairwise([*starts, len(cleaned.text)]), strict=True)
    ]


def _segments(chapters: list[_Chapter], cues: Cues, cleaned: CleanText) -> Iterator[Segment]:
    every = [(number, chapter, part) for number, chapter in enumerate(chapters) for part in chapter.parts]
    for index, (number, chapter, part) in enumerate(every):
        following = every[index + 1] if index + 1 < len(every) else None
        start, end = cleaned.span(part.start, part.end)
        boundary = part.boundary
        if following is None:
            boundary = Boundary.END
        elif following[0] != number:
            boundary = Boundary.CHAPTER
        yield Segment(
            index=index,
            text=part.said,
            start=start,
            end=end,
            boundary=boundary,
            chapter=number,
            voice=cues.voice(part.start, since=chapter.start) or chapter.voice,
            pause_after_s=cues.pause_s(part.start, following[2].start if following else len(cleaned.text)),
        )


def _plan_chapters(chapters: Sequence[Chapter], found: list[_Chapter], num_chars: int) -> Iterator[PlanChapter]:
    ends = [*(chapter.start for chapter in chapters[1:]), num_chars]
    first = 0
    for chapter, end, spoken in zip(chapters, ends, found, strict=False):
        num_segments = len(spoken.parts)
        yield PlanChapter(
            title=chapter.title, start=chapter.start, end=end, first_segment=first, num_segments=num_segments
        )
        first += num_segments
