"""Subtitles and timings of a finished narration, read back by parsers that keep to the formats."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from producer.contract.manifest import AudioObject, Manifest, ManifestChapter, ManifestSegment
from producer.contract.plan import Boundary, Plan, Segment
from producer.contract.status import State
from worker.audio.subtitles import srt, vtt
from worker.audio.timings import timings

RATE_HZ = 24_000
#: Samples of each segment: with 24 kHz, none of them a whole number of milliseconds.
LENGTHS = (100_001, 77_777, 30_011)
PAUSE = 7_201


def narration(
    *texts: str, language: str = "en", failed: tuple[int, ...] = (), voices: dict[int, str] | None = None
) -> tuple[Manifest, Plan]:
    """Return a narration whose segments follow each other with pauses; the texts stand in the original as they are."""
    segments, planned, offset, start = [], [], 0, 0
    for index, text in enumerate(texts):
        is_present = index not in failed
        num_samples = LENGTHS[index % len(LENGTHS)] if is_present else 0
        place: dict[str, Any] = {
            "index": index,
            "start": start,
            "end": start + len(text),
            "boundary": Boundary.SENTENCE,
        }
        planned.append(Segment(text=text, **place))
        segments.append(
            ManifestSegment(
                **place,
                is_present=is_present,
                offset_samples=offset,
                num_samples=num_samples,
                pause_after_samples=PAUSE if is_present else 0,
                offset_s=round(offset / RATE_HZ, 6),
                duration_s=round(num_samples / RATE_HZ, 6),
                attempts=1,
                voice=(voices or {}).get(index),
                flags=("noise",) if index == 1 else (),
                error_code=None if is_present else "synthesis",
            )
        )
        offset += num_samples + (PAUSE if is_present else 0)
        start += len(text) + 1
    audio = AudioObject(
        key="k", format="mp3", content_type="audio/mpeg", size_bytes=1, sha256="", sample_rate_hz=RATE_HZ,
        num_samples=offset, duration_s=round(offset / RATE_HZ, 6),
    )  # fmt: skip
    manifest = Manifest(
        narration_id="a" * 26, state=State.SUCCEEDED, engine_identity="tone", voice="default", language=language,
        custom_id=None, title="T", is_watermarked=False, voice_sha256=None,
        text_sha256="", num_chars=start, created_at=datetime.now(UTC), audio=audio if offset else None,
        chapters=(
            ManifestChapter(
                index=0, title="One", start=0, end=start, offset_s=0.0, duration_s=1.5, num_segments=len(texts),
                num_failed=0, num_flagged=0,
            ),
        ),
        segments=tuple(segments),
    )  # fmt: skip
    return manifest, Plan(narration_id="a" * 26, text_sha256="", num_chars=start, segments=tuple(planned))


def read_srt(data: bytes) -> list[tuple[float, float, list[str]]]:
    """Read a SubRip file as players do: blocks parted by empty lines, a number, the times, the text."""
    found = []
    for number, block in enumerate(filter(None, data.decode().split("\n\n")), start=1):
        first, times, *lines = block.rstrip("\n").split("\n")
        assert first == str(number)
        match = re.fullmatch(r"(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})", times)
        assert match, times
        found.append((*_seconds(match.groups()), lines))
    return found


def read_vtt(data: bytes) -> list[tuple[float, float, list[str]]]:
    """Read a WebVTT file by the rules of its specification, 4.1: cues may not hold `-->`, `&` or `<` as they are."""
    head, *blocks = data.decode().rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    found = []
    for block in blocks:
        if block.startswith("NOTE"):
            assert "-->" not in block
            continue
        times, *lines = block.split("\n")
        match = re.fullmatch(r"(\d\d):(\d\d):(\d\d)\.(\d{3}) --> (\d\d):(\d\d):(\d\d)\.(\d{3})", times)
        assert match, times
        for line in lines:
            assert "-->" not in line
            assert not re.search(r"&(?!amp;|lt;|gt;)|<(?!v [a-z0-9_-]+>)", line)
        found.append((*_seconds(match.groups()), [html.unescape(line) for line in lines]))
    return found


def _seconds(fields: tuple[str, ...]) -> tuple[float, float]:
    numbers = [int(field) for field in fields]
    start, end = (
        hours * 3_600 + minutes * 60 + seconds + milliseconds / 1_000
        for hours, minutes, seconds, milliseconds in (numbers[:4], numbers[4:])
    )
    assert start < end
    return start, end


LONG = (
    "Mr. Hale had kept the light for years, and he had never let it go out; the wind had turned to the north. He slept."
)


@pytest.mark.parametrize(("write", "read"), [(srt, read_srt), (vtt, read_vtt)])
def test_segments_begin_and_end_to_the_millisecond_and_nothing_overlaps(write: Any, read: Any) -> None:
    manifest, plan = narration(LONG, "Short.", LONG)
    cues = read(write(manifest, plan))
    assert len(cues) == 5
    starts, ends = [start for start, _, _ in cues], [end for _, end, _ in cues]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    for segment in manifest.segments:
        begin_s = segment.offset_samples / RATE_HZ
        end_s = (segment.offset_samples + segment.num_samples) / RATE_HZ
        assert min(abs(start - begin_s) for start in starts) <= 0.0005
        assert min(abs(end - end_s) for end in ends) <= 0.0005
    shown = " ".join(line for _, _, lines in cues for line in lines)
    assert shown == f"{LONG} Short. {LONG}"


def test_a_failed_segment_has_no_cue() -> None:
    manifest, plan = narration("One.", "Two.", "Three.", failed=(1,))
    assert [lines for _, _, lines in read_srt(srt(manifest, plan))] == [["One."], ["Three."]]


def test_a_narration_without_audio_has_empty_files() -> None:
    manifest, plan = narration("One.", failed=(0,))
    assert srt(manifest, plan) == b""
    assert read_vtt(vtt(manifest, plan)) == []
    assert json.loads(timings(manifest, plan, "", {}))["segments"][0]["error_code"] == "synthesis"


@pytest.mark.parametrize(
    "text",
    [
        "a --> b",
        "1\n\n2\n00:00:00,000 --> 00:00:01,000\nforged",
        "<b>bold</b> & <script>",
        "{\\an8}up",
        "WEBVTT\n\nNOTE x\r\n\r\nSTYLE",
        "nul \0 and \x1b[31m and \u2028 line",
    ],
)
def test_what_looks_like_a_file_stays_text(text: str) -> None:
    manifest, plan = narration("Before.", text, "After.")
    for cues in (read_srt(srt(manifest, plan)), read_vtt(vtt(manifest, plan))):
        assert cues[0][2] == ["Before."]
        assert cues[-1][2] == ["After."]
        first_s = manifest.segments[1].offset_samples / RATE_HZ
        middle = cues[1:-1]
        assert middle[0][0] == pytest.approx(first_s, abs=0.001)
        assert not any("\0" in line or "\x1b" in line for _, _, lines in middle for line in lines)


def test_srt_holds_nothing_that_players_take_for_a_tag() -> None:
    manifest, plan = narration("<i>x</i> {\\an8} -->")
    ((_, _, lines),) = read_srt(srt(manifest, plan))
    assert not set("<>{}") & set("".join(lines))


def test_vtt_names_who_speaks() -> None:
    manifest, plan = narration("Yes.", "No.", voices={1: "mary-2"})
    shown = [lines[0] for _, _, lines in read_vtt(vtt(manifest, plan))]
    assert shown == ["Yes.", "<v mary-2>No."]


def test_lines_of_right_to_left_languages_begin_on_the_right() -> None:
    manifest, plan = narration("GPU أسرع", "كان الليل.", language="ar")
    shown = [lines[0] for _, _, lines in read_vtt(vtt(manifest, plan))]
    assert shown == ["\u200fGPU أسرع", "كان الليل."]
    english, plan = narration("GPU.", language="en")
    assert b"\xe2\x80\x8f" not in srt(english, plan)


def test_the_original_text_is_shown_if_it_is_given() -> None:
    original = "It cost $12. [pause:1.5s]She\nleft [voice:mary] at [5]."
    manifest, plan = narration("It cost twelve dollars.", "She left at five.")
    spans = [(0, 12), (13, len(original))]
    segments = tuple(
        segment.model_copy(update={"start": start, "end": end})
        for segment, (start, end) in zip(manifest.segments, spans, strict=True)
    )
    manifest = manifest.model_copy(update={"segments": segments})
    shown = [lines for _, _, lines in read_srt(srt(manifest, plan, original))]
    assert shown == [["It cost $12."], ["She left at [5]."]]
    assert [lines for _, _, lines in read_srt(srt(manifest, plan))] == [
        ["It cost twelve dollars."],
        ["She left at five."],
    ]


def test_times_pass_ten_hours() -> None:
    manifest, plan = narration("Late.")
    late = manifest.segments[0].model_copy(update={"offset_samples": 36_125 * RATE_HZ})
    ((start, _, _),) = read_srt(srt(manifest.model_copy(update={"segments": (late,)}), plan))
    assert start == 36_125


def test_timings_say_where_everything_is() -> None:
    manifest, plan = narration("Grüße, 世界.", "Two.", "Three.", failed=(2,), voices={1: "mary"})
    found = json.loads(timings(manifest, plan, "", {}))
    assert manifest.audio is not None
    assert (found["version"], found["num_samples"]) == (1, manifest.audio.num_samples)
    assert found["chapters"] == [
        {"index": 0, "title": "One", "start": 0, "end": manifest.num_chars, "offset_s": 0.0, "duration_s": 1.5}
    ]
    first, second, third = found["segments"]
    assert first["text"] == "Grüße, 世界."
    assert (second["voice"], second["flags"]) == ("mary", ["noise"])
    assert (third["is_present"], third["error_code"], third["duration_s"]) == (False, "synthesis", 0.0)
    assert round(second["offset_s"] * RATE_HZ) == LENGTHS[0] + PAUSE
    assert round(second["duration_s"] * RATE_HZ) == LENGTHS[1]
    original = "Grüße, 世界. Two. Three."
    assert [original[each["start"] : each["end"]] for each in found["segments"]] == ["Grüße, 世界.", "Two.", "Three."]
