"""The finished samples on their way: into the whole, into the file of their chapter, and past the meters.

Each of these has a thread of its own. Knows nothing of takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from producer.contract.keys import audio_key, chapter_audio_key
from producer.contract.manifest import AudioObject
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from worker.audio.audiofile import AudioFile, UploadStore
from worker.audio.branch import Branch
from worker.audio.chapterfiles import ChapterFiles
from worker.audio.chapters import chapter_marks, chapter_tags
from worker.audio.layout import Layout
from worker.audio.meter import FULL_SCALE, LoudnessMeter, decibels
from worker.audio.tags import Tags
from worker.audio.truepeak import TruePeakMeter


@dataclass(frozen=True, slots=True)
class Kind:
    """What is written."""

    audio_format: AudioFormat
    #: Of the whole, without its chapters.
    tags: Tags
    has_chapter_files: bool


class Output:
    """Takes the samples of a narration in order; everything is stored when its `with` block ends well."""

    def __init__(self, plan: Plan, layout: Layout, store: UploadStore, kind: Kind) -> None:
        self._plan = plan
        self._layout = layout
        self._store = store
        self._kind = kind
        self._meter = LoudnessMeter(layout.sample_rate_hz)
        self._peak_meter = TruePeakMeter()
        self._chapters = ChapterFiles(layout.chapters if kind.has_chapter_files else (), self._open_chapter)
        tags = replace(kind.tags, chapters=chapter_marks(plan, layout))
        self._whole = self._open(audio_key(plan.narration_id, kind.audio_format), layout.num_samples, tags)
        self._branches = [
            Branch(self._meter.feed, name="loudness"),
            Branch(self._peak_meter.feed, name="peak"),
            Branch(self._whole.write, name="whole"),
        ]
        if kind.has_chapter_files:
            self._branches.append(Branch(self._chapters.write, name="chapters"))
        self._exit = ExitStack()

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Write samples, [num_samples] int16; nobody may change them afterwards.

        Raises:
            Exception: what went wrong with those before; the `with` block must end.
        """
        for branch in self._branches:
            branch.feed(pcm)

    def audio(self) -> AudioObject:
        """Return the file of the whole; after the `with` block."""
        return self._whole.facts()

    def chapters(self) -> Mapping[int, AudioObject]:
        """Return index -> file of a chapter; after the `with` block."""
        return self._chapters.stored

    def integrated_lufs(self, num_heard_samples: int) -> float | None:
        """Return how loud it is, None if it is silence; after the `with` block.

        Args:
            num_heard_samples: samples that are no pause.
        """
        return self._meter.integrated_lufs(num_heard_samples)

    def true_peak_dbtp(self) -> float | None:
        """Return how high it rises, None if it never leaves zero; after the `with` block."""
        return decibels(self._peak_meter.peak / FULL_SCALE) if self._peak_meter.peak else None

    def _open_chapter(self, index: int) -> AudioFile:
        key = chapter_audio_key(self._plan.narration_id, index, self._kind.audio_format)
        tags = chapter_tags(self._plan, index, self._kind.tags)
        return self._open(key, self._layout.chapters[index].num_samples, tags)

    def _open(self, key: str, num_samples: int, tags: Tags) -> AudioFile:
        return AudioFile(
            self._store,
            key,
            audio_format=self._kind.audio_format,
            sample_rate_hz=self._layout.sample_rate_hz,
            num_samples=num_samples,
            tags=tags,
        )

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.enter_context(self._whole)
            entered.enter_context(self._chapters)
            for branch in self._branches:  # they end before the files that they write into
                entered.enter_context(branch)
            self._exit = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)
        if kind is None:
            self._meter.close()
            self._peak_meter.close()
