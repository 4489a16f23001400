"""Where every segment lies in the finished audio, before a single one of them has been read.

Knows nothing of S3 or of encoders. A segment that failed takes no room, and its line says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from producer.contract.manifest import ManifestSegment, TakeFacts
from producer.contract.plan import Plan, Segment
from worker.audio.pauses import pause_samples
from worker.errors import AssemblyError


@dataclass(frozen=True, slots=True)
class Layout:
    """The segments of a narration with their places, and the length of the whole."""

    segments: tuple[ManifestSegment, ...]
    #: 0 when there is nothing to hear.
    sample_rate_hz: int
    num_samples: int


def lay_out(
    plan: Plan,
    takes: Mapping[int, TakeFacts],
    failures: Mapping[int, tuple[str, str]],
    attempts: Mapping[str, int],
) -> Layout:
    """Return the layout of a narration whose segments have all ended.

    Args:
        plan: the segments.
        takes: index -> its accepted take.
        failures: index -> code and reason; ignored where there is a take.
        attempts: item -> attempts, as the ledger counts them.

    Raises:
        AssemblyError: a segment has neither a take nor a failure, or the sample rates differ.
    """
    unfinished = [segment.index for segment in plan.segments if segment.index not in takes.keys() | failures.keys()]
    if unfinished:
        raise AssemblyError(f"{len(unfinished)} segments have not ended, the first is {unfinished[0]}")
    rate_hz = _common_rate_hz(plan, takes)
    segments = []
    offset = 0
    for segment in plan.segments:
        placed = _placed(segment, offset, rate_hz, takes.get(segment.index), failures.get(segment.index), attempts)
        segments.append(placed)
        offset += placed.num_samples + placed.pause_after_samples
    return Layout(tuple(segments), rate_hz, offset)


def _common_rate_hz(plan: Plan, takes: Mapping[int, TakeFacts]) -> int:
    rates_hz = {takes[segment.index].sample_rate_hz for segment in plan.segments if segment.index in takes}
    if len(rates_hz) > 1:
        raise AssemblyError(f"the segments have different sample rates: {sorted(rates_hz)} Hz")
    return rates_hz.pop() if rates_hz else 0


def _placed(
    segment: Segment,
    offset: int,
    rate_hz: int,
    take: TakeFacts | None,
    failure: tuple[str, str] | None,
    attempts: Mapping[str, int],
) -> ManifestSegment:
    error_code, error = failure if failure and not take else (None, None)
    return ManifestSegment(
        index=segment.index,
        start=segment.start,
        end=segment.end,
        boundary=segment.boundary,
        is_present=take is not None,
        key=take.key if take else None,
        offset_samples=offset,
        num_samples=take.num_samples if take else 0,
        pause_after_samples=pause_samples(segment.boundary, rate_hz) if take else 0,
        offset_s=round(offset / rate_hz, 6) if rate_hz else 0.0,
        duration_s=round(take.num_samples / rate_hz, 6) if take else 0.0,
        seed=take.seed if take else None,
        attempts=attempts.get(str(segment.index), 0),
        is_reused=take.is_reused if take else False,
        error_code=error_code,
        error=error,
    )
