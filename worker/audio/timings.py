"""All that is known of when what is said, as one JSON file (`audio.json`). Knows nothing of subtitles.

Times are reckoned from counts of samples, so that they are exact in every format that keeps its length. Words have no
times of their own: the multilingual model's attention says where in the text it is, but only to find the end of the
speech, on the GPU, and a take does not keep it; the other engines say nothing.
"""

from __future__ import annotations

import json
from typing import Any, Final

from producer.contract.manifest import Manifest, ManifestSegment
from producer.contract.plan import Plan, Segment

#: Raised when a field changes its meaning; fields may be added.
VERSION: Final = 1


def timings(manifest: Manifest, plan: Plan) -> bytes:
    """Return the timings: chapters and segments, their places in the audio and in the original text."""
    rate_hz = manifest.audio.sample_rate_hz if manifest.audio else 0
    planned = {segment.index: segment for segment in plan.segments}
    found: dict[str, Any] = {
        "version": VERSION,
        "narration_id": manifest.narration_id,
        "title": manifest.title,
        "language": manifest.language,
        "sample_rate_hz": rate_hz,
        "num_samples": manifest.audio.num_samples if manifest.audio else 0,
        "duration_s": manifest.audio.duration_s if manifest.audio else 0.0,
        "text_sha256": manifest.text_sha256,
        "chapters": [
            chapter.model_dump(include={"index", "title", "start", "end", "offset_s", "duration_s"})
            for chapter in manifest.chapters
        ],
        "segments": [_segment(segment, planned[segment.index], rate_hz) for segment in manifest.segments],
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _segment(segment: ManifestSegment, planned: Segment, rate_hz: int) -> dict[str, Any]:
    return {
        "index": segment.index,
        "chapter": segment.chapter,
        "start": segment.start,
        "end": segment.end,
        "is_present": segment.is_present,
        "offset_s": _seconds(segment.offset_samples, rate_hz),
        "duration_s": _seconds(segment.num_samples, rate_hz),
        "pause_after_s": _seconds(segment.pause_after_samples, rate_hz),
        "text": planned.text,
        "voice": segment.voice,
        "flags": list(segment.flags),
        "score": segment.score,
        "error_code": segment.error_code,
    }


def _seconds(samples: int, rate_hz: int) -> float:
    return round(samples / rate_hz, 6) if rate_hz else 0.0
