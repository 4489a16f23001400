"""A book from EPUB to an m4b that a publisher could take: `python -m bench.publish_book [FOLDER]`.

`make book` and `chatterqueue narrate out/book.epub --engine draft --format m4b`, then what a listener would check:
the chapters as two independent readers see them (FFmpeg and MediaInfo), the loudness as FFmpeg measures it, and the
timings by a recognizer that is played a seeded sample of the segments where the timings say that they are.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import av.filter
from pymediainfo import MediaInfo

from bench.hear_book import decoded, heard
from bench.record import ROOT, commit, machine, write_result
from producer.contract import keys
from producer.contract.loudness import TARGETS, LoudnessPreset
from producer.contract.manifest import Manifest
from producer.contract.settings import Settings
from producer.stack import EmbeddedStack
from producer.storage import ObjectStore

#: How far a reader's chapter may be from the manifest's: containers count in milliseconds, players do not.
MAX_CHAPTER_ERROR_S = 0.02


def main() -> None:
    """Make and narrate the book unless the folder has it, check it, print and record."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/published").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "narrated.json").exists():
        narrate(folder)
    narrated = json.loads((folder / "narrated.json").read_text())
    manifest, timings = stored(folder, narrated["id"])
    assert manifest.audio is not None
    audio = folder / "book.m4b"
    pcm, rate_hz = decoded(audio)
    result = {
        "command": "python -m bench.publish_book",
        "narrated": {
            "num_chapters": len(manifest.chapters),
            "num_segments": len(manifest.segments),
            "num_flagged": sum(bool(segment.flags) for segment in manifest.segments),
            "audio_s": manifest.audio.duration_s,
            "size_bytes": manifest.audio.size_bytes,
            "wall_s": narrated["wall_s"],
            "real_time": round(manifest.audio.duration_s / narrated["wall_s"], 1),
            "commit": narrated["commit"],
            "load_average": narrated["load_average"],
        },
        "decoded": {"audio_s": len(pcm) / rate_hz, "is_state": manifest.state.value},
        "chapters": chapters(audio, manifest),
        "loudness": loudness(audio, manifest),
        "heard": heard(pcm, places(timings, rate_hz), [each["text"] for each in timings["segments"]], rate_hz),
    }
    path = write_result("publish_book", result)
    sys.stdout.write(f"{json.dumps(result, indent=2)}\n{path}\n")


def narrate(folder: Path) -> None:
    """Make the book and narrate it as its reader would."""
    book = str(folder / "book.epub")
    subprocess.run([sys.executable, "examples/make_book.py", book], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "producer.cli", "narrate", book, "-o", str(folder / "book.m4b"), "--format", "m4b"]
    command += ["--engine", "draft", "--local", "--data-dir", str(folder / "stack"), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    document = {**json.loads(done.stdout), "commit": commit(), "load_average": machine()["load_average"]}
    (folder / "narrated.json").write_text(json.dumps(document))


def stored(folder: Path, narration_id: str) -> tuple[Manifest, dict[str, Any]]:
    """Return the manifest and the timings, from the embedded stack that the book was narrated with."""
    with EmbeddedStack(folder / "stack") as stack:
        os.environ.update(stack.environment())
        store = ObjectStore.connect(Settings.load())
        manifest = Manifest.model_validate_json(store.get(keys.manifest_key(narration_id)))
        return manifest, json.loads(store.get(keys.subtitles_key(narration_id, "json")))


def chapters(audio: Path, manifest: Manifest) -> dict[str, Any]:
    """Compare the chapters that two readers see with those of the manifest."""
    expected = [(chapter.title, chapter.offset_s) for chapter in manifest.chapters]
    with av.open(str(audio)) as container:
        by_ffmpeg = [
            (each["metadata"].get("title", ""), float(each["start"] * each["time_base"]))
            for each in container.chapters()
        ]
    menus = [track for track in MediaInfo.parse(audio).tracks if track.track_type == "Menu"]
    by_mediainfo = [
        (str(value), _seconds(name))
        for name, value in menus[0].to_data().items()
        if re.fullmatch(r"\d\d_\d\d_\d{5}", name)
    ]
    return {
        "num_in_manifest": len(expected),
        "num_seen_by_ffmpeg": _num_equal(by_ffmpeg, expected),
        "num_seen_by_mediainfo": _num_equal(by_mediainfo, expected),
    }


def _seconds(name: str) -> float:
    hours, minutes, milliseconds = name.split("_")
    return int(hours) * 3600 + int(minutes) * 60 + int(milliseconds) / 1000


def _num_equal(seen: list[tuple[str, float]], expected: list[tuple[str, float]]) -> int:
    if len(seen) != len(expected):
        return 0
    pairs = zip(seen, expected, strict=True)
    return sum(one[0] == two[0] and abs(one[1] - two[1]) <= MAX_CHAPTER_ERROR_S for one, two in pairs)


def loudness(audio: Path, manifest: Manifest) -> dict[str, Any]:
    """Return the loudness and the true peak of the encoded file, as FFmpeg's ebur128 filter measures them."""
    metadata: dict[str, str] = {}
    with av.open(str(audio)) as container:
        stream = container.streams.audio[0]
        graph = av.filter.Graph()
        source = graph.add_abuffer(template=stream)
        meter = graph.add("ebur128", "metadata=1:peak=true")
        sink = graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        for frame in container.decode(stream):
            graph.push(frame)
            metadata = _pulled(graph) or metadata
        graph.push(None)
        metadata = _pulled(graph) or metadata
    peaks = [float(value) for name, value in metadata.items() if name.startswith("lavfi.r128.true_peaks_ch")]
    return {
        "target_lufs": TARGETS[LoudnessPreset.AUDIOBOOK].integrated_lufs,
        "integrated_lufs": float(metadata["lavfi.r128.I"]),
        "true_peak_dbtp": round(20 * math.log10(max(peaks)), 2),
        "in_manifest": manifest.loudness.model_dump() if manifest.loudness else None,
    }


def _pulled(graph: av.filter.Graph) -> dict[str, str]:
    """Return what the meter has put into the last frame that is ready."""
    last: dict[str, str] = {}
    while True:
        try:
            last = dict(graph.pull().metadata)
        except (av.error.BlockingIOError, av.error.EOFError):
            return last


def places(timings: dict[str, Any], rate_hz: int) -> list[tuple[int, int]]:
    """Return where the timings say that each segment is: its first sample, and how many it has."""
    segments = timings["segments"]
    return [(round(each["offset_s"] * rate_hz), round(each["duration_s"] * rate_hz)) for each in segments]


if __name__ == "__main__":
    main()
