"""What the benchmarks judge by: flatness, rates, logs, made-up books, and files heard through."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.audiofile import check_file
from bench.flatness import flatness
from bench.madeupbook import book, lines
from bench.scaling import ratios
from bench.steadyrate import rate, steady_rate
from bench.workerlog import read_events
from producer.contract.manifest import AudioObject, Manifest, ManifestSegment
from producer.contract.plan import Boundary
from producer.contract.status import State
from worker.text import split

RATE_HZ = 24_000


def soak_lines(*, last_rss_mib: float = 5_000.0) -> list[dict[str, float | None]]:
    steady = {"host_rss_mib": 5_000.0, "device_reserved_mib": 40_000.0, "device_allocated_mib": None}
    filling = {**steady, "host_rss_mib": 3_000.0}
    return [*[filling] * 4, *[steady] * 12, *[{**steady, "host_rss_mib": last_rss_mib}] * 4]


def soak_points(*, last_speed: float = 300.0) -> list[tuple[float, float]]:
    """Return the ends of 2,000 segments of 3 s each, forty at a time, as a renderer brings them."""
    points: list[tuple[float, float]] = []
    now_s = 0.0
    for batch in range(50):
        speed = 200.0 if batch < 10 else last_speed if batch >= 40 else 300.0
        now_s += 40 * 3.0 / speed
        points += [(now_s, 3.0)] * 40
    return points


def test_what_stays_as_it_is_after_the_first_fifth_is_flat():
    judgement = flatness(soak_lines(), soak_points())
    assert judgement["faults"] == []
    assert judgement["changes"] == {"host_rss_mib": 0.0, "device_reserved_mib": 0.0, "speed": 0.0}


@pytest.mark.parametrize(
    ("last_rss_mib", "last_speed", "fault"),
    [
        (5_000.0, 280.0, "speed changed by -6.7%"),
        (5_000.0, 320.0, "speed changed by +6.7%"),
        (5_100.0, 300.0, "host_rss_mib grew by 2.0%"),
    ],
)
def test_what_drifts_is_named(last_rss_mib: float, last_speed: float, fault: str):
    assert flatness(soak_lines(last_rss_mib=last_rss_mib), soak_points(last_speed=last_speed))["faults"] == [fault]


def test_too_short_a_soak_shows_nothing():
    assert flatness(soak_lines()[:4], soak_points())["faults"] == ["only 4 lines: at least 5 are needed"]


def test_the_steady_rate_leaves_out_how_slots_fill_and_empty():
    # Nothing for ten seconds, then a second of speech in each half second, then a straggler.
    points = [(10.0 + 0.5 * number, 1.0) for number in range(20)] + [(60.0, 1.0)]
    assert steady_rate(reversed(points)) == pytest.approx(2.0)
    assert steady_rate(points[:4]) is None


def test_a_rate_is_not_off_by_a_batch_that_ends_just_before_or_after():
    batches = [(float(batch), 3.0) for batch in range(20) for _ in range(100)]
    for cut in (0, 50, 99):
        assert rate(batches[cut:]) == pytest.approx(300.0, rel=0.02)
    assert rate([(1.0, 3.0), (1.0, 3.0)]) is None


def test_the_whole_path_is_put_beside_the_engine_alone_and_more_gpus_beside_one():
    measured = {
        "engine_alone": {"x_real_time": 250.0, "steady_x_real_time": 260.0},
        "whole_path": {
            "1": {"x_real_time": 225.0, "steady_x_real_time": 247.0},
            "4": {"x_real_time": 855.0, "steady_x_real_time": None},
        },
    }
    assert ratios(measured) == {
        "whole path / engine alone, x_real_time": 0.9,
        "whole path / engine alone, steady_x_real_time": 0.95,
        "4 GPUs / 1, x_real_time": 3.8,
    }
    del measured["engine_alone"]
    assert ratios(measured) == {"4 GPUs / 1, x_real_time": 3.8}
    assert ratios({"whole_path": {}}) == {}


def test_a_log_is_read_as_events(tmp_path: Path):
    path = tmp_path / "worker.log"
    path.write_text(
        "Failed to load something\n"
        "2026-11-22T14:02:11.052Z INFO take_finished narration_id=n1 audio_s=7.25 is_reused=false "
        'why="two \\"words\\""\n'
        "Traceback (most recent call last):\n"
        "2026-11-22T14:02:12.000Z WARNING worker_stopped\n"
    )
    take, stopped = read_events(path)
    assert (take.level, take.name, stopped.name) == ("INFO", "take_finished", "worker_stopped")
    assert take.fields == {"narration_id": "n1", "audio_s": 7.25, "is_reused": False, "why": 'two "words"'}
    assert take.at_s == datetime(2026, 11, 22, 14, 2, 11, 52_000, tzinfo=UTC).timestamp()
    assert stopped.fields == {}


def test_a_made_up_book_is_the_same_for_the_same_seed_and_says_nothing_twice():
    text = book(5, num_characters=20_000)
    assert text == book(5, num_characters=20_000) != book(6, num_characters=20_000)
    assert len(text) == pytest.approx(20_000, rel=0.1)
    segments = [segment.text for segment in split(text, language="en", narration_id="book").segments]
    assert len(set(segments)) == len(segments)
    lengths = [len(segment) for segment in segments]
    assert min(lengths) < 50 < 200 < max(lengths) <= 280


def test_made_up_lines_are_as_long_as_they_are_to_be():
    assert [len(line) for line in lines(1, lengths=[24, 72, 400])] == [24, 72, 400]


def told_manifest(path: Path, *, num_samples: list[int], duration_s: float) -> Manifest:
    offset, segments = 0, []
    for index, count in enumerate(num_samples):
        segments.append(
            ManifestSegment(
                index=index,
                start=0,
                end=1,
                boundary=Boundary.SENTENCE,
                is_present=True,
                offset_samples=offset,
                num_samples=count,
                pause_after_samples=1_000,
                offset_s=0.0,
                duration_s=count / RATE_HZ,
                attempts=1,
            )
        )
        offset += count + 1_000
    return Manifest(
        narration_id="n1",
        custom_id=None,
        title=None,
        state=State.SUCCEEDED,
        engine_identity=None,
        is_watermarked=True,
        voice="default",
        voice_sha256=None,
        language="en",
        text_sha256="",
        num_chars=2,
        created_at=datetime.now(UTC),
        audio=AudioObject(
            key="audio.flac",
            format="flac",
            content_type="audio/flac",
            size_bytes=path.stat().st_size,
            sha256="",
            sample_rate_hz=RATE_HZ,
            num_samples=offset,
            duration_s=duration_s,
        ),
        segments=tuple(segments),
    )


@pytest.fixture
def audio_path(tmp_path: Path) -> Path:
    """A file with a second of sound, a pause, half a second of silence, and a pause."""
    sound = 0.1 * np.sin(np.arange(RATE_HZ) * 0.1)
    path = tmp_path / "audio.flac"
    soundfile.write(path, np.concatenate([sound, np.zeros(1_000 + 12_000 + 1_000)]), RATE_HZ)
    return path


def test_a_file_that_is_what_its_manifest_says_has_no_fault(audio_path: Path):
    manifest = told_manifest(audio_path, num_samples=[20_000, 3_000], duration_s=38_000 / RATE_HZ)
    wrong_length = check_file(audio_path, manifest)["faults"]
    assert set(wrong_length) == {"length of all segments"}
    manifest = told_manifest(audio_path, num_samples=[13_000, 9_500, 12_500], duration_s=38_000 / RATE_HZ)
    found = check_file(audio_path, manifest)
    assert (found["num_heard"], found["faults"]) == (2, {"silent segments": [2]})
    manifest = told_manifest(audio_path, num_samples=[17_000, 19_000], duration_s=38_000 / RATE_HZ)
    assert check_file(audio_path, manifest)["faults"] == {}


def test_a_file_that_is_too_short_or_another_one_is_named(audio_path: Path):
    manifest = told_manifest(audio_path, num_samples=[17_000, 19_000], duration_s=3.0)
    with audio_path.open("ab") as file:
        file.write(b"more")
    assert set(check_file(audio_path, manifest)["faults"]) == {"length of the file", "size in bytes"}
