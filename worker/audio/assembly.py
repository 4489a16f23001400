"""The takes of a narration joined into one audio object, and one for each chapter. Knows nothing of the ledger.

Two passes, both of them streams, so that ten hours take no more memory than ten minutes: the first finds out what is
heard of each take and how loud they are, and after it every place in the audio is known; the second joins, levels and
encodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from producer.contract.loudness import TARGETS, LoudnessFacts, LoudnessPreset, LoudnessTarget
from producer.contract.manifest import AudioObject, ManifestChapter, ManifestSegment, TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from worker.audio.audiofile import UploadStore
from worker.audio.chapters import manifest_chapters
from worker.audio.joining import joined
from worker.audio.layout import Ended, common_rate_hz, lay_out
from worker.audio.loudness import Adjustment, adjustment_for
from worker.audio.output import Kind, Output
from worker.audio.pauses import pauses_samples
from worker.audio.reading import SegmentSource, usable_takes
from worker.audio.survey import survey
from worker.audio.tags import NO_TAGS, Tags
from worker.audio.words import Words

DEFAULT_LOUDNESS: Final = TARGETS[LoudnessPreset.AUDIOBOOK]
#: Decimal places of the loudness figures: what the measuring itself is good for.
_DECIMALS: Final = 2


class AudioStore(SegmentSource, UploadStore, Protocol):
    """Where the segments lie and the audio goes; `producer.storage.ObjectStore` is one."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """What became of the takes."""

    #: None when there was no take at all.
    audio: AudioObject | None
    segments: tuple[ManifestSegment, ...]
    chapters: tuple[ManifestChapter, ...] = ()
    #: None when there was no take at all.
    loudness: LoudnessFacts | None = None
    #: Index of a segment -> when its words are said, in the time of its take, before anything is trimmed; empty if that
    #: is not known.
    words: Mapping[int, Words] = field(default_factory=dict)


def assemble(
    plan: Plan,
    takes: Mapping[int, TakeFacts],
    failures: Mapping[int, tuple[str, str]],
    attempts: Mapping[str, int],
    store: AudioStore,
    *,
    audio_format: AudioFormat,
    tags: Tags = NO_TAGS,
    loudness: LoudnessTarget | None = DEFAULT_LOUDNESS,
    earlier_gain_db: float | None = None,
    has_chapter_files: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Assembly:
    """Write a narration's audio into S3 and return where everything in it is.

    Segments that failed are left out and named. Each object appears when it is whole, the files of chapters one by one
    and the whole last; assembling again replaces them by the same bytes.

    Args:
        plan: the segments in order.
        takes: index -> its accepted take.
        failures: index -> code and reason, of segments without a take.
        attempts: item -> attempts, as the ledger counts them.
        store: where the segments are and the audio goes.
        audio_format: what to write.
        tags: what the file says about itself; its chapters are filled in here.
        loudness: how loud it becomes; None: as loud as the takes are, every sample of them untouched.
        earlier_gain_db: of the audio in which some takes are replaced; see `loudness.adjustment_for`.
        has_chapter_files: also write one object for each chapter.
        progress: called after each segment that was read, with the number read and the number to read, which is each
            segment twice; what it raises ends the assembly and leaves nothing of the whole behind.

    Raises:
        AssemblyError: a segment has not ended, or the sample rates differ.
        SegmentsUnusableError: stored segments are gone or broken; `indexes` have to be spoken again.
        StorageUnavailableError: S3 stayed away; try again.
    """
    rate_hz = common_rate_hz(plan, takes, failures)
    present = {segment.index: takes[segment.index] for segment in plan.segments if segment.index in takes}
    if not present:
        layout = lay_out(plan, Ended({}, failures, attempts, {}, {}, 0))
        return Assembly(None, layout.segments, manifest_chapters(plan, layout, {}))
    pauses = pauses_samples(plan, present, rate_hz)
    step = _steps(2 * len(present), progress)
    found = survey(present, pauses, store, rate_hz, is_measured=loudness is not None, progress=step)
    layout = lay_out(plan, Ended(present, failures, attempts, found.heard, pauses, rate_hz))
    adjustment = Adjustment()
    if found.measurement and loudness:
        adjustment = adjustment_for(found.measurement, loudness, earlier_gain_db=earlier_gain_db)
    leveller = adjustment.leveller(rate_hz)
    output = Output(plan, layout, store, Kind(audio_format, tags, has_chapter_files))
    with output, closing(usable_takes(store, present, step)) as stored_takes:
        for index, stored in stored_takes:
            output.write(leveller.feed(joined(stored.samples, found.heard[index], pauses[index], rate_hz)))
        output.write(leveller.close())
    facts = LoudnessFacts(
        target_lufs=loudness.integrated_lufs if loudness else None,
        measured_lufs=_figure(found.measurement.integrated_lufs if found.measurement else None),
        gain_db=adjustment.gain_db,
        integrated_lufs=_figure(output.integrated_lufs(found.num_heard_samples)),
        true_peak_dbtp=_figure(output.true_peak_dbtp()),
    )
    chapters = manifest_chapters(plan, layout, output.chapters())
    return Assembly(output.audio(), layout.segments, chapters, facts, found.words)


def _steps(total: int, progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    """Return what counts the steps for `progress`."""
    numbers = count(1)

    def step() -> None:
        if progress:
            progress(next(numbers), total)

    return step


def _figure(decibels: float | None) -> float | None:
    return None if decibels is None else round(decibels, _DECIMALS)
