"""The encoders alone, per core and in memory: `python -m bench.formats`.

Speed: five minutes of speech in samples, encoded into nothing, in seconds of CPU. Memory: ten hours with 120
chapters as an m4b, the only format that waits on the disk, in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.madeuptakes import SENTENCES
from bench.record import write_result
from producer.contract.narration import AudioFormat
from worker.audio import ChapterMark, Tags, open_writer

RATE_HZ = 24_000
SPEED_S = 300
REPEATS = 2
LONG_S = 36_000
CHAPTERS = 120
PAUSE_S = 0.3
#: Loudness that audiobooks have and the draft voice has not; what a codec costs depends on it a little.
GAIN_DB = 7.0


class _Counter:
    """A sink that forgets all but how much it was."""

    def __init__(self) -> None:
        self.num_bytes = 0

    def write(self, data: bytes) -> int:
        self.num_bytes += len(data)
        return len(data)


def main() -> None:
    """Measure, print and record."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(_encode_long(np.load(sys.argv[1]))))
        return
    speech = _speech()
    formats = {each.value: _speed(each, speech) for each in AudioFormat}
    result: dict[str, Any] = {
        "command": "python -m bench.formats",
        "settings": {"speed_s": SPEED_S, "repeats": REPEATS, "sample_rate_hz": RATE_HZ},
        "formats": formats,
    }
    write_result("formats", result)  # ten hours take minutes, and may be interrupted
    sys.stdout.write(json.dumps(formats) + "\n")
    sys.stdout.flush()
    result["m4b_of_ten_hours"] = _in_own_process(speech)
    path = write_result("formats", result)
    sys.stdout.write(f"ten hours of m4b: {json.dumps(result['m4b_of_ten_hours'])}. {path}\n")


def _speech() -> NDArray[np.int16]:
    from hibari import Hibari

    voice = Hibari(threads=1)
    silence = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    parts = [part for seed, text in enumerate(SENTENCES) for part in (voice(text, seed=seed), silence)]
    loud = np.clip(np.concatenate(parts) * 10 ** (GAIN_DB / 20), -1.0, 1.0)
    return np.rint(loud * 32_767).astype(np.int16)


def _speed(audio_format: AudioFormat, speech: NDArray[np.int16]) -> dict[str, float]:
    """Return the best of a few, because other work on the machine only slows."""
    num_repeats = SPEED_S * RATE_HZ // len(speech)
    audio_s = num_repeats * len(speech) / RATE_HZ
    spent_s, counter = [], _Counter()
    for _ in range(REPEATS):
        begun_s, counter = time.process_time(), _Counter()
        with open_writer(audio_format, RATE_HZ, num_repeats * len(speech), counter) as writer:
            for _ in range(num_repeats):
                writer.write(speech)
        spent_s.append(time.process_time() - begun_s)
    return {
        "real_time_per_core": round(audio_s / min(spent_s), 1),
        "kbit_s": round(counter.num_bytes * 8 / audio_s / 1_000, 1),
    }


def _in_own_process(speech: NDArray[np.int16]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.npy"
        np.save(path, speech)
        command = [sys.executable, "-m", "bench.formats", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def _encode_long(speech: NDArray[np.int16]) -> dict[str, Any]:
    num_repeats = LONG_S * RATE_HZ // len(speech)
    total = num_repeats * len(speech)
    marks = tuple(ChapterMark(f"Chapter {number + 1}", total // CHAPTERS * number) for number in range(CHAPTERS))
    counter, begun_s = _Counter(), time.process_time()
    tags = Tags(title="Ten hours", author="Nobody", language="en", chapters=marks)
    with open_writer(AudioFormat.M4B, RATE_HZ, total, counter, tags=tags) as writer:
        for _ in range(num_repeats):
            writer.write(speech)
    spent_s = time.process_time() - begun_s
    return {
        "audio_s": round(total / RATE_HZ, 1),
        "size_bytes": counter.num_bytes,
        "cpu_s": round(spent_s, 1),
        "real_time_per_core": round(total / RATE_HZ / spent_s, 1),
        "peak_rss_mib": _peak_rss_mib(),
    }


def _peak_rss_mib() -> int:
    """Return this process's peak memory; `getrusage` would give its parent's, which it keeps over an exec."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1_024


if __name__ == "__main__":
    main()
