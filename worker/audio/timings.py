"""All that is known of when what is said, as one JSON file (`audio.json`). Knows nothing of subtitles.

Times of segments are reckoned from counts of samples, so that they are exact in every format that keeps its length.
Those of words are what the multilingual model's attention says, in steps of 40 ms; other takes have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from producer.contract.manifest import Manifest, ManifestSegment
from producer.contract.plan import Plan, Segment
from worker.audio.originals import original_spans
from worker.audio.words import NO_WORDS, Words

#: Raised when a field changes its meaning; fields may be added.
VERSION: Final = 1


def timings(manifest: Manifest, plan: Plan, text: str, words: Mapping[int, Words]) -> bytes:
    """Return the timings: chapters, segments and words, their places in the audio and in the original text.

    Args:
        manifest: where each segment lies in the audio.
        plan: the segments' texts.
        text: the narration's own text.
        words: index of a segment -> when the words of its take are said, before anything is trimmed.
    """
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
    }
    # Segment by segment: a long book's words, as objects, would take more memory than its audio does here.
    segments = (
        {
            **_segment(segment, planned[segment.index], rate_hz),
            **_words(segment, planned[segment.index].text, text, words.get(segment.index, NO_WORDS), rate_hz),
        }
        for segment in manifest.segments
    )
    return f'{_json(found)[:-1]},"segments":[{",".join(map(_json, segments))}]}}'.encode(errors="replace")


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


def _words(segment: ManifestSegment, spoken: str, text: str, words: Words, rate_hz: int) -> dict[str, Any]:
    """Return the field of a segment's words; nothing if none of them has a time."""
    if not (words.size and segment.is_present and rate_hz):
        return {}
    originals = original_spans(spoken, text[segment.start : segment.end])
    found = []
    for start_char, end_char, start, end in _heard(segment, words, rate_hz):
        if end_char > len(spoken):  # of another text: no record of ours
            return {}
        word: dict[str, Any] = {
            "word": spoken[start_char:end_char],
            "start_s": _seconds(start, rate_hz),
            "end_s": _seconds(end, rate_hz),
        }
        if (original := originals.get((start_char, end_char))) is not None:
            word |= {"start_char": segment.start + original[0], "end_char": segment.start + original[1]}
        found.append(word)
    return {"words": found} if found else {}


def _heard(segment: ManifestSegment, words: Words, rate_hz: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the words that are heard: first character, the one behind the last, first sample in the audio, the same."""
    first, end = segment.offset_samples, segment.offset_samples + segment.num_samples
    shift = first - segment.trim_start_samples
    for start_char, end_char, start_ms, end_ms in words.tolist():
        start_sample, end_sample = (min(max(shift + ms * rate_hz // 1_000, first), end) for ms in (start_ms, end_ms))
        if start_sample < end_sample:
            yield start_char, end_char, start_sample, end_sample


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _seconds(samples: int, rate_hz: int) -> float:
    return round(samples / rate_hz, 6) if rate_hz else 0.0
