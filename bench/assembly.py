"""Assembly, per core and in memory: `python -m bench.assembly [--formats m4b,mp3]`.

CPU: one hour of speech from memory into nothing, in seconds of CPU over all threads, with everything that an assembly
does: FLAC decoded twice, takes trimmed, loudness measured before and after, levelled, limited, joined, encoded, marked
with chapters. Memory: ten hours in 120 chapters from a real S3 server into a real S3 server, in a process of its own.
All formats take half an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.madeuptakes import TakesInMemory, plan_of, spoken_takes
from bench.record import write_result
from producer.contract.loudness import LoudnessTarget
from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Plan
from producer.contract.settings import Settings
from producer.stack import EmbeddedStack
from producer.storage import ObjectStore
from worker.audio import Assembly, Tags, assemble
from worker.audio.assembly import DEFAULT_LOUDNESS
from worker.audio.mp3 import BIT_RATE

CPU_HOURS = 1.0
MEMORY_HOURS = 10.0
REPEATS = 3
TAGS = Tags(title="The Keeper of the Light", author="chatterqueue", language="en")


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description="Assembly, per core and in memory.")
    parser.add_argument("--formats", default=",".join(AudioFormat), help="all of them, if not given")
    parser.add_argument("--ten-hours", type=AudioFormat, help="of one format, in this process; for itself")
    options = parser.parse_args()
    if options.ten_hours:
        _assemble_long(options.ten_hours)
        return
    formats = [AudioFormat(name) for name in options.formats.split(",")]
    objects, takes = spoken_takes()
    plan, of_each = plan_of(takes, CPU_HOURS)
    speeds = {kind.value: _real_time_per_core(plan, of_each, objects, kind) for kind in formats}
    without = {}
    if AudioFormat.WAV in formats:
        speed = _real_time_per_core(plan, of_each, objects, AudioFormat.WAV, loudness=None)
        without["wav, loudness off"] = speed
    if AudioFormat.M4B in formats:
        speed = _real_time_per_core(plan, of_each, objects, AudioFormat.M4B, has_chapter_files=True)
        without["m4b, and a file for each chapter"] = speed
    memory = _memory(objects, takes, formats)
    result = {
        "command": "python -m bench.assembly " + " ".join(sys.argv[1:]),
        "settings": {"mp3_bits_per_s": BIT_RATE, "cpu_hours": CPU_HOURS, "repeats": REPEATS},
        "real_time_per_core": speeds,
        "real_time_per_core_of_others": without,
        "ten_hours": memory,
    }
    path = write_result("assembly", result)
    figures = ", ".join(f"{name} {speed:.0f}x" for name, speed in (speeds | without).items())
    peaks = ", ".join(f"{name} {figure['peak_rss_mib']} MiB" for name, figure in memory.items())
    sys.stdout.write(f"assembly per core: {figures} real time; peak memory for ten hours: {peaks}. {path}\n")


def _assemble(
    plan: Plan,
    of_each: dict[int, TakeFacts],
    store: Any,
    audio_format: AudioFormat,
    *,
    loudness: LoudnessTarget | None = DEFAULT_LOUDNESS,
    has_chapter_files: bool = False,
) -> Assembly:
    return assemble(
        plan,
        of_each,
        {},
        {},
        store,
        audio_format=audio_format,
        tags=TAGS,
        loudness=loudness,
        has_chapter_files=has_chapter_files,
    )


def _real_time_per_core(
    plan: Plan, of_each: dict[int, TakeFacts], objects: Mapping[str, bytes], audio_format: AudioFormat, **kind: Any
) -> float:
    """Return seconds of audio per second of CPU; the best of a few, because other work on the machine only slows."""
    speeds = []
    for _ in range(REPEATS):
        begun_s = time.process_time()
        assembly = _assemble(plan, of_each, TakesInMemory(objects), audio_format, **kind)
        assert assembly.audio is not None
        speeds.append(assembly.audio.duration_s / (time.process_time() - begun_s))
    return round(max(speeds), 1)


def _memory(
    objects: Mapping[str, bytes], takes: list[TakeFacts], formats: Sequence[AudioFormat]
) -> dict[str, dict[str, Any]]:
    found = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder)) as stack:
        environment = {**os.environ, **stack.environment()}
        os.environ.update(stack.environment())
        store = ObjectStore.connect(Settings.load())
        for key, data in objects.items():
            store.put(key, data, "audio/flac")
        store.put("takes.json", json.dumps([take.model_dump() for take in takes]).encode(), "application/json")
        for audio_format in formats:
            command = [sys.executable, "-m", "bench.assembly", "--ten-hours", audio_format.value]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            found[audio_format.value] = json.loads(done.stdout)
    return found


def _assemble_long(audio_format: AudioFormat) -> None:
    """Assemble ten hours with the environment's S3 server and print what it took."""
    store = ObjectStore.connect(Settings.load(), read_timeout_s=30, max_attempts=4)
    plan, of_each = plan_of([TakeFacts(**take) for take in json.loads(store.get("takes.json"))], MEMORY_HOURS)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    assembly = _assemble(plan, of_each, store, audio_format)
    assert assembly.audio is not None
    assert assembly.loudness is not None
    cpu_s = time.process_time() - begun_cpu_s
    figures = {
        "audio_s": assembly.audio.duration_s,
        "size_bytes": assembly.audio.size_bytes,
        "num_segments": len(assembly.segments),
        "num_chapters": len(assembly.chapters),
        "loudness": assembly.loudness.model_dump(),
        "wall_s": round(time.perf_counter() - begun_s, 1),
        "cpu_s": round(cpu_s, 1),
        "real_time_per_core": round(assembly.audio.duration_s / cpu_s, 1),
        "peak_rss_mib": _peak_rss_kib() // 1_024,
    }
    store.delete(assembly.audio.key)
    sys.stdout.write(json.dumps(figures))


def _peak_rss_kib() -> int:
    """Return this process's peak memory; `getrusage` would give its parent's, which it keeps over an exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("this system does not tell the peak memory of a process")


if __name__ == "__main__":
    main()
