"""Ten thousand segments on end through the engine: memory flat, speed flat: `python -m bench.soak [CHECKPOINT]`.

The engine in int8 with all its slots, as busy as a worker keeps it, text tokens to FLAC. Short segments, so that ten
thousand end in minutes: 16 to 48 characters, 1.1 to 3.2 s; `--lengths book` takes those of `book_lengths.json`, mean
15.6 s. Weights are random, of full size, and speak as long as their text is. Exit status 1 if something was not flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import torch  # noqa: TID253 - a benchmark of models

from bench.aloneengine import open_engine, request_of, speak_all
from bench.book_lengths import SPEECH_TOKENS_PER_CHAR, read_lengths
from bench.bytext import checkpoint_by_text
from bench.flatness import flatness
from bench.gpuwatch import GpuWatch
from bench.hostmemory import host_memory
from bench.madeupbook import lines
from bench.record import write_result
from bench.steadyrate import Point
from worker.engine.chatterbox import ChatterboxEngine
from worker.engine.request import SegmentRequest

SEED: Final = 1
SHORT_CHARACTERS: Final = (16, 48)
#: How often a segment that failed is spoken again.
NUM_AGAIN: Final = 3


class Soak:
    """Collects a line for every so many segments and prints it at once."""

    def __init__(self, num_per_line: int, watch: GpuWatch | None) -> None:
        self.lines: list[dict[str, Any]] = []
        self.points: list[Point] = []
        self._num_per_line = num_per_line
        self._watch = watch
        self._lock = threading.Lock()
        self._num_spoken = 0
        self._audio_s = 0.0
        self._since_s = time.time()
        #: Segments that their own seed did not speak, and what became of them.
        self.failed: list[tuple[SegmentRequest, str]] = []

    def fail(self, request: SegmentRequest, outcome: str) -> None:
        """Note a segment that its own seed did not speak; from any thread."""
        self.failed.append((request, outcome))

    def add(self, audio_s: float) -> None:
        """Note a spoken segment; from any thread."""
        with self._lock:
            self.points.append((time.time(), audio_s))
            self._num_spoken += 1
            self._audio_s += audio_s
            if self._num_spoken % self._num_per_line == 0:
                self._end_line()

    def _end_line(self) -> None:
        now_s = time.time()
        wall_s = now_s - self._since_s
        line = {
            "num_segments": self._num_spoken,
            "wall_s": round(wall_s, 2),
            "x_real_time": round(self._audio_s / wall_s, 1),
            **host_memory(),
            **device_memory(),
            "gpu_busy_percent": self._watch.summary(self._since_s)["gpu_busy_percent"] if self._watch else None,
        }
        self.lines.append(line)
        print(json.dumps(line), flush=True)
        self._since_s, self._audio_s = now_s, 0.0


def device_memory() -> dict[str, float | None]:
    """Return what torch has on the device: the most since the last call that tensors took, and what it holds."""
    if not torch.cuda.is_available():
        return {"device_allocated_mib": None, "device_reserved_mib": None}
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    return {"device_allocated_mib": round(allocated / 2**20, 1), "device_reserved_mib": round(reserved / 2**20, 1)}


def speak_again(engine: ChatterboxEngine, index: int, request: SegmentRequest, outcome: str) -> dict[str, Any]:
    """Return what is known of a segment that its own seed did not speak: whether the seed fails when it is alone too.

    A failure that comes again follows from the weights, the text and the seed; one that does not is the engine's.
    """
    again: list[str] = []
    for _ in range(NUM_AGAIN):
        speak_all(engine, [request], lambda _: None, lambda _, outcome: again.append(outcome))
    found = {"index": index, "num_characters": len(request.text), "seed": request.seed, "outcome": outcome}
    found |= {"num_failed_alone": len(again), "num_tried_alone": NUM_AGAIN}
    print(json.dumps(found), flush=True)
    return found


def texts_of(kind: str, num_segments: int) -> list[str]:
    """Return made-up texts, short ones or as long as a book's segments."""
    if kind == "book":
        book = [round(num_tokens / SPEECH_TOKENS_PER_CHAR) for _, num_tokens in read_lengths()]
        return lines(SEED, lengths=[book[index % len(book)] for index in range(num_segments)])
    rng = random.Random(SEED)
    return lines(SEED, lengths=[rng.randint(*SHORT_CHARACTERS) for _ in range(num_segments)])


def main() -> None:
    """Soak, judge, print and record."""
    options = _options()
    checkpoint_by_text(options.checkpoint, is_small=options.device == "cpu")
    engine = open_engine(
        options.checkpoint, device=options.device, num_slots=options.slots, precision=options.precision
    )
    # Different seeds for each, so that nothing is the same work twice.
    requests = [request_of(text, index) for index, text in enumerate(texts_of(options.lengths, options.segments))]
    watch = GpuWatch(options.gpu) if options.device == "cuda" else None
    with watch or contextlib.nullcontext():
        soak = Soak(options.every, watch)
        wall_s = speak_all(engine, requests, soak.add, soak.fail)
    failures = [speak_again(engine, requests.index(request), request, reason) for request, reason in soak.failed]
    engine.close(30.0)
    # The last ones are spoken by an engine that runs empty.
    num_full_lines = (options.segments - 2 * engine.num_slots) // options.every
    judgement: dict[str, Any] = flatness(soak.lines[:num_full_lines], soak.points[: num_full_lines * options.every])
    judgement["faults"] += [
        f"segment {failure['index']}: {failure['outcome']}; alone it failed {failure['num_failed_alone']} times"
        for failure in failures
        if failure["num_failed_alone"] < NUM_AGAIN or failure["outcome"].startswith("no take")
    ]
    audio_s = sum(seconds for _, seconds in soak.points)
    result = {
        "command": "python -m bench.soak " + " ".join(sys.argv[1:]),
        "gpu": torch.cuda.get_device_name() if options.device == "cuda" else None,
        "settings": {
            "weights": "random, full size" if options.device == "cuda" else "random, small",
            "precision": options.precision,
            "num_slots": engine.num_slots,
            "lengths": options.lengths,
        },
        "num_segments": options.segments,
        "audio_s": round(audio_s),
        "wall_s": round(wall_s, 1),
        "x_real_time": round(audio_s / wall_s, 1),
        **judgement,
        "failures": failures,
        "lines": soak.lines,
    }
    path = write_result(options.name, result)
    print(json.dumps({name: value for name, value in result.items() if name != "lines"}), path, sep="\n", flush=True)
    sys.exit(1 if judgement["faults"] else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ten thousand segments on end through the engine.")
    parser.add_argument("checkpoint", type=Path, nargs="?", help="of full_checkpoint.py --by-text; made if missing")
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="segments for each line of figures")
    parser.add_argument("--lengths", default="short", choices=["short", "book"])
    parser.add_argument("--slots", type=int, help="as many as fit, if not given")
    parser.add_argument("--precision", default="auto", choices=["auto", "int8", "bf16", "fp32"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--gpu", type=int, default=0, help="as the driver numbers it, for how busy it is")
    parser.add_argument("--name", default="soak")
    options = parser.parse_args()
    kind = "small" if options.device == "cpu" else "full"
    options.checkpoint = options.checkpoint or Path(tempfile.gettempdir()) / f"chatterqueue-by-text-{kind}"
    return options


if __name__ == "__main__":
    main()
