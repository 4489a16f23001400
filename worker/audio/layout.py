"""Where every segment and every chapter lies in the finished audio, before the first sample of it is written.

Knows nothing of S3 or of encoders. A segment that failed takes no room, and its line says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from producer.contract.manifest import ManifestSegment, TakeFacts
from producer.contract.plan import Plan, Segment
from worker.audio.trimming import Span
from worker.errors import AssemblyError


@dataclass(frozen=True, slots=True)
class Layout:
    """The segments of a narration with their places, and the length of the whole."""

    segments: tuple[ManifestSegment, ...]
    #: Of each chapter of the plan: the pause behind its last segment is its own.
    chapters: tuple[Span, ...]
    #: 0 when there is nothing to hear.
    sample_rate_hz: int
    num_samples: int


def common_rate_hz(plan: Plan, takes: Mapping[int, TakeFacts], failures: Mapping[int, tuple[str, str]]) -> int:
    """Return the sample rate of a narration whose segments have all ended; 0 if there is no take.

    Raises:
        AssemblyError: a segment has neither a take nor a failure, or the sample rates differ.
    """
    unfinished = [segment.index for segment in plan.segments if segment.index not in takes.keys() | failures.keys()]
    if unfinished:
        raise AssemblyError(f"{len(unfinished)} segments have not ended, the first is {unfinished[0]}")
    rates_hz = {takes[segment.index].sample_rate_hz for segment in plan.segments if segment.index in takes}
    if len(rates_hz) > 1:
        raise AssemblyError(f"the segments have different sample rates: {sorted(rates_hz)} Hz")
    return rates_hz.pop() if rates_hz else 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How every segment has ended, as the ledger tells it and as the takes were found to be."""

    takes: Mapping[int, TakeFacts]
    #: Index -> code and reason; ignored where there is a take.
    failures: Mapping[int, tuple[str, str]]
    #: Item -> attempts.
    attempts: Mapping[str, int]
    #: Index -> the part of its take that is heard.
    heard: Mapping[int, Span]
    #: Index -> silent samples after it.
    pauses: Mapping[int, int]
    #: 0 if there is no take.
    sample_rate_hz: int


def lay_out(plan: Plan, ended: Ended) -> Layout:
    """Return the layout of a narration."""
    segments = []
    offset = 0
    for segment in plan.segments:
        segments.append(_placed(segment, offset, ended))
        offset += segments[-1].num_samples + segments[-1].pause_after_samples
    offsets = [*(segment.offset_samples for segment in segments), offset]
    chapters = []
    for chapter in plan.chapters:
        start = offsets[chapter.first_segment]
        chapters.append(Span(start, offsets[chapter.first_segment + chapter.num_segments] - start))
    return Layout(tuple(segments), tuple(chapters), ended.sample_rate_hz, offset)


def _placed(segment: Segment, offset: int, ended: Ended) -> ManifestSegment:
    take = ended.takes.get(segment.index)
    span = ended.heard[segment.index] if take else Span(0, 0)
    error_code, error = (None, None) if take else ended.failures[segment.index]
    rate_hz = ended.sample_rate_hz
    return ManifestSegment(
        index=segment.index,
        start=segment.start,
        end=segment.end,
        boundary=segment.boundary,
        is_present=take is not None,
        key=take.key if take else None,
        chapter=segment.chapter,
        voice=segment.voice,
        offset_samples=offset,
        num_samples=span.num_samples,
        trim_start_samples=span.start_samples,
        take_samples=take.num_samples if take else None,
        pause_after_samples=ended.pauses.get(segment.index, 0),
        offset_s=round(offset / rate_hz, 6) if rate_hz else 0.0,
        duration_s=round(span.num_samples / rate_hz, 6) if take else 0.0,
        seed=take.seed if take else None,
        attempts=ended.attempts.get(str(segment.index), 0),
        is_reused=take.is_reused if take else False,
        flags=take.flags if take else (),
        score=take.score if take else None,
        checks=take.checks if take else (),
        error_code=error_code,
        error=error,
    )
