"""SubRip and WebVTT subtitles of a finished narration. Knows nothing of how the audio was made.

A segment's begin and end are exact, to the sample; a cue inside a segment is timed by its share of the characters,
which is a guess. A segment that failed has no cue.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from producer.contract.manifest import Manifest, ManifestSegment
from producer.contract.markup import without_markup
from producer.contract.plan import Plan
from worker.audio.cues import cut

#: Written from right to left, of the 23 languages.
_RIGHT_TO_LEFT: Final = frozenset({"ar", "he"})
#: Invisible; makes a line begin on the right that would begin with a number or a Latin word.
_RIGHT_TO_LEFT_MARK: Final = "\u200f"

#: SubRip has no way to write these as they are: players take them for tags and for the line of times.
_HARMLESS: Final = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")"})
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class _TimedCue:
    lines: tuple[str, ...]
    start_ms: int
    end_ms: int
    voice: str | None


def srt(manifest: Manifest, plan: Plan, text: str | None = None) -> bytes:
    """Return the subtitles as a SubRip file in UTF-8.

    Args:
        manifest: where each segment lies in the audio.
        plan: the segments' texts.
        text: the narration's own text; with it, the subtitles show what was written, and not how it was spoken
            (numbers written out, names respelled).
    """
    blocks = []
    for number, cue in enumerate(_cues(manifest, plan, text), start=1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        blocks.append("\n".join([str(number), times, *(line.translate(_HARMLESS) for line in cue.lines)]) + "\n")
    return "\n".join(blocks).encode(errors="replace")


def vtt(manifest: Manifest, plan: Plan, text: str | None = None) -> bytes:
    """Return the subtitles as a WebVTT file; named voices are marked. Arguments as `srt`."""
    blocks = ["WEBVTT\n", "NOTE The speech is AI-generated.\n"]
    for cue in _cues(manifest, plan, text):
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        shown = "\n".join(line.translate(_ESCAPED) for line in cue.lines)
        voice = f"<v {cue.voice}>" if cue.voice else ""
        blocks.append(f"{times}\n{voice}{shown}\n")
    return "\n".join(blocks).encode(errors="replace")


def _cues(manifest: Manifest, plan: Plan, text: str | None) -> Iterator[_TimedCue]:
    if manifest.audio is None:
        return
    spoken = {segment.index: segment.text for segment in plan.segments}
    for segment in manifest.segments:
        if segment.is_present:
            shown = spoken[segment.index] if text is None else without_markup(text[segment.start : segment.end])
            yield from _cues_of(segment, _printable(shown), manifest.audio.sample_rate_hz, manifest.language)


def _cues_of(segment: ManifestSegment, shown: str, rate_hz: int, language: str) -> Iterator[_TimedCue]:
    cues = cut(shown)
    for cue in cues:
        start, end = (
            round((segment.offset_samples + segment.num_samples * place / cues[-1].end) * 1_000 / rate_hz)
            for place in (cue.start, cue.end)
        )
        if end > start:
            lines = tuple(_directed(line, language) for line in cue.lines)
            yield _TimedCue(lines, start, end, segment.voice)


def _printable(text: str) -> str:
    """Return the text without control characters; those that are white space part words."""
    return "".join(
        character if unicodedata.category(character) != "Cc" else " " * character.isspace() for character in text
    )


def _directed(line: str, language: str) -> str:
    """Return a line that a player shows from the right if its language is written so."""
    if language not in _RIGHT_TO_LEFT:
        return line
    strong = next((kind for kind in map(unicodedata.bidirectional, line) if kind in {"L", "R", "AL"}), "L")
    return _RIGHT_TO_LEFT_MARK + line if strong == "L" else line


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"
