"""Assembly, per core and in memory: `python -m bench.assembly`.

CPU: one hour of speech from memory into nothing, FLAC decoding included, in seconds of CPU over all threads.
Memory: ten hours from a real S3 server into a real S3 server, in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.record import write_result
from producer.contract.manifest import TakeFacts
from producer.contract.narration import AudioFormat
from producer.contract.plan import Boundary, Plan, Segment
from producer.contract.settings import Settings
from producer.stack import EmbeddedStack
from producer.storage import ObjectStore
from worker.audio import assemble, encode_segment
from worker.audio.assembly import write_audio
from worker.audio.layout import Layout, lay_out
from worker.audio.mp3 import BIT_RATE

#: Real speech, said once by the draft voice and repeated; what a codec costs depends on what it is given.
SENTENCES = (
    "Mr. Hale had kept the light for thirty-one years, and he had never once let it go out.",
    "The sea was three and a half miles off, and the wind had turned to the north with a great noise.",
    "Nobody in the village remembered who had built the tower, or why it stood so far from the harbour.",
    "She put the lamp on the table, sat down, and began to read aloud from the letter.",
)
CPU_HOURS = 1.0
MEMORY_HOURS = 10.0
REPEATS = 3


def main() -> None:
    """Measure, print and record."""
    if len(sys.argv) > 1:
        _assemble_long(AudioFormat(sys.argv[1]))
        return
    objects, takes = _spoken()
    layout = _layout(takes, CPU_HOURS)
    cpu = {audio_format.value: _real_time_per_core(layout, objects, audio_format) for audio_format in AudioFormat}
    memory = _memory(objects, takes)
    result = {
        "command": "python -m bench.assembly",
        "settings": {"mp3_bits_per_s": BIT_RATE, "cpu_hours": CPU_HOURS, "repeats": REPEATS},
        "real_time_per_core": cpu,
        "ten_hours": memory,
    }
    path = write_result("assembly", result)
    figures = ", ".join(f"{name} {speed:.0f}x" for name, speed in cpu.items())
    peaks = ", ".join(f"{name} {figure['peak_rss_mib']} MiB" for name, figure in memory.items())
    sys.stdout.write(f"assembly per core: {figures} real time; peak memory for ten hours: {peaks}. {path}\n")


class _Memory:
    """Segments in a dictionary, and a sink that forgets."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = objects

    def get(self, key: str) -> bytes:
        return self._objects[key]

    def write(self, data: bytes) -> int:
        return len(data)


def _spoken() -> tuple[dict[str, bytes], list[TakeFacts]]:
    from hibari import SAMPLE_RATE, Hibari

    voice = Hibari(threads=1)
    objects, takes = {}, []
    for index, sentence in enumerate(SENTENCES):
        pcm = voice(sentence)
        key = f"segments/{index}.flac"
        objects[key] = encode_segment(pcm, SAMPLE_RATE)
        facts = {"num_samples": len(pcm), "sample_rate_hz": SAMPLE_RATE, "seed": 0, "synthesis_s": 0.0, "worker": "-"}
        takes.append(TakeFacts(key=key, is_reused=False, **facts))
    return objects, takes


def _plan(takes: list[TakeFacts], hours: float) -> tuple[Plan, dict[int, TakeFacts]]:
    left_s = hours * 3_600
    of_each = {}
    for index, take in enumerate(_endlessly(takes)):
        if left_s <= 0:
            break
        of_each[index] = take
        left_s -= take.num_samples / take.sample_rate_hz + 0.3
    segments = tuple(
        Segment(index=index, text="x", start=index, end=index + 1, boundary=Boundary.SENTENCE) for index in of_each
    )
    return Plan(narration_id="a" * 26, text_sha256="", num_chars=len(segments), segments=segments), of_each


def _endlessly(takes: list[TakeFacts]) -> Iterator[TakeFacts]:
    while True:
        yield from takes


def _layout(takes: list[TakeFacts], hours: float) -> Layout:
    plan, of_each = _plan(takes, hours)
    return lay_out(plan, of_each, {}, {})


def _real_time_per_core(layout: Layout, objects: Mapping[str, bytes], audio_format: AudioFormat) -> float:
    """Return seconds of audio per second of CPU; the best of a few, because other work on the machine only slows."""
    memory = _Memory(objects)
    spent_s = []
    for _ in range(REPEATS):
        begun_s = time.process_time()
        write_audio(layout, memory, memory, audio_format=audio_format)
        spent_s.append(time.process_time() - begun_s)
    return round(layout.num_samples / layout.sample_rate_hz / min(spent_s), 1)


def _memory(objects: Mapping[str, bytes], takes: list[TakeFacts]) -> dict[str, dict[str, Any]]:
    found = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder)) as stack:
        environment = {**os.environ, **stack.environment()}
        os.environ.update(stack.environment())
        store = ObjectStore.connect(Settings.load())
        for key, data in objects.items():
            store.put(key, data, "audio/flac")
        store.put("takes.json", json.dumps([take.model_dump() for take in takes]).encode(), "application/json")
        for audio_format in AudioFormat:
            command = [sys.executable, "-m", "bench.assembly", audio_format.value]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            found[audio_format.value] = json.loads(done.stdout)
    return found


def _assemble_long(audio_format: AudioFormat) -> None:
    """Assemble ten hours with the environment's S3 server and print what it took."""
    store = ObjectStore.connect(Settings.load(), read_timeout_s=30, max_attempts=4)
    plan, of_each = _plan([TakeFacts(**take) for take in json.loads(store.get("takes.json"))], MEMORY_HOURS)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    assembly = assemble(plan, of_each, {}, {}, store, audio_format=audio_format)
    assert assembly.audio is not None
    figures = {
        "audio_s": assembly.audio.duration_s,
        "size_bytes": assembly.audio.size_bytes,
        "num_segments": len(assembly.segments),
        "wall_s": round(time.perf_counter() - begun_s, 1),
        "cpu_s": round(time.process_time() - begun_cpu_s, 1),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024,
    }
    store.delete(assembly.audio.key)
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
