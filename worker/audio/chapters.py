"""The chapters of a narration: as the manifest tells them, and as files are marked with them.

Knows nothing of how they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from producer.contract.manifest import AudioObject, ManifestChapter
from producer.contract.plan import Plan
from worker.audio.layout import Layout
from worker.audio.tags import ChapterMark, Tags


def manifest_chapters(plan: Plan, layout: Layout, files: Mapping[int, AudioObject]) -> tuple[ManifestChapter, ...]:
    """Return what the manifest says of each chapter.

    Args:
        plan: the chapters.
        layout: their places.
        files: index of a chapter -> its own file.
    """
    rate_hz = layout.sample_rate_hz or 1
    chapters = []
    for index, (chapter, span) in enumerate(zip(plan.chapters, layout.chapters, strict=True)):
        own = layout.segments[chapter.first_segment : chapter.first_segment + chapter.num_segments]
        chapters.append(
            ManifestChapter(
                index=index,
                title=chapter.title,
                start=chapter.start,
                end=chapter.end,
                offset_s=round(span.start_samples / rate_hz, 6),
                duration_s=round(span.num_samples / rate_hz, 6),
                num_segments=len(own),
                num_failed=sum(not segment.is_present for segment in own),
                num_flagged=sum(bool(segment.flags) for segment in own),
                audio=files.get(index),
            )
        )
    return tuple(chapters)


def chapter_marks(plan: Plan, layout: Layout) -> tuple[ChapterMark, ...]:
    """Return the marks in the file of the whole, of the chapters that are heard; the first one is at 0."""
    spans = zip(plan.chapters, layout.chapters, strict=True)
    return tuple(ChapterMark(chapter.title, span.start_samples) for chapter, span in spans if span.num_samples)


def chapter_tags(plan: Plan, index: int, whole: Tags) -> Tags:
    """Return the tags of the file of one chapter: the whole is the album that it is a track of."""
    title = plan.chapters[index].title or whole.title
    return replace(whole, title=title, album=whole.title, track=(index + 1, len(plan.chapters)), chapters=())
