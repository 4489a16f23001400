"""The engine alone, as busy as a worker keeps it, on texts: what a worker does without Celery, Redis and S3.

    python -m bench.aloneengine CHECKPOINT TEXTS [--slots 128] [--device cuda]

TEXTS is a JSON list of segments' texts; the length of each follows from its text (`full_checkpoint.py --by-text`), as
everywhere where a worker speaks. Prints what it measured as one line of JSON, the last one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from bench.gpuwatch import GpuWatch
from bench.steadyrate import steady_rate
from producer.contract.narration import ModelName, Parameters
from worker.audio import encode_segment
from worker.engine.chatterbox import ChatterboxEngine
from worker.engine.request import SegmentRequest, segment_seed
from worker.errors import SynthesisError

#: Segments in flight for each slot, as a worker has them.
IN_FLIGHT_PER_SLOT: Final = 2

#: Called with the seconds of audio of each segment when it is FLAC; from many threads.
OnSpoken = Callable[[float], None]
#: Called with a segment that its own seed did not speak, and what became of it; from many threads.
OnFailed = Callable[[SegmentRequest, str], None]


def open_engine(checkpoint: Path, *, device: str, num_slots: int | None, precision: str = "auto") -> ChatterboxEngine:
    """Return an engine that is ready, and say how long that took."""
    engine = ChatterboxEngine(
        checkpoint,
        cache_dir=Path(tempfile.gettempdir()) / "chatterqueue-bench",
        device=device,  # type: ignore[arg-type]  # one of two names, by the command line
        precision=precision,  # type: ignore[arg-type]  # the same
        max_slots=num_slots,
        num_threads=2,
    )
    begun_s = time.perf_counter()
    engine.load()
    loaded_s = time.perf_counter()
    engine.warm_up()
    start = {"load_s": round(loaded_s - begun_s, 1), "warm_up_s": round(time.perf_counter() - loaded_s, 1)}
    print(json.dumps({"num_slots": engine.num_slots, **start}), flush=True)
    return engine


def request_of(text: str, narration_seed: int = 0) -> SegmentRequest:
    """Return what a worker asks its engine for when it is to speak a segment."""
    seed = segment_seed(narration_seed, text)
    return SegmentRequest(text, "en", ModelName.ENGLISH, None, Parameters(), seed=seed)


def speak_all(
    engine: ChatterboxEngine,
    requests: Iterable[SegmentRequest],
    on_spoken: OnSpoken,
    on_failed: OnFailed | None = None,
) -> float:
    """Have an engine speak everything, until the last segment is FLAC; return the wall seconds.

    Each thread waits for a take and encodes it, as a worker's do; nothing is kept of a take.

    Raises:
        SynthesisError: of the first segment that could not be spoken, unless there is `on_failed`.
    """

    def speak(request: SegmentRequest) -> None:
        try:
            take = engine.submit(request).result()
        except SynthesisError as error:
            if on_failed is None:
                raise
            on_failed(request, f"no take: {error}")
            return
        if on_failed is not None and take.seed != request.seed:
            on_failed(request, "another seed spoke it")
        encode_segment(take.pcm, take.sample_rate_hz)
        on_spoken(len(take.pcm) / take.sample_rate_hz)

    begun_s = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT_PER_SLOT * engine.num_slots) as pool:
        for _ in pool.map(speak, requests):
            pass
    return time.perf_counter() - begun_s


class SpokenLog:
    """When how much was spoken."""

    def __init__(self) -> None:
        #: (seconds since the epoch, seconds of audio), of each segment in the order of their ends.
        self.points: list[tuple[float, float]] = []

    def add(self, audio_s: float) -> None:
        """Note a segment; from any thread."""
        self.points.append((time.time(), audio_s))


def main() -> None:
    """Speak the texts and print the figures."""
    parser = argparse.ArgumentParser(description="The engine alone, on texts.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--slots", type=int)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--gpu", type=int, default=0, help="as the driver numbers it; CUDA sees it alone")
    options = parser.parse_args()

    texts = json.loads(options.texts.read_text("utf-8"))
    engine = open_engine(options.checkpoint, device=options.device, num_slots=options.slots)
    log = SpokenLog()
    watch = GpuWatch(options.gpu) if options.device == "cuda" else None
    with watch or contextlib.nullcontext():
        wall_s = speak_all(engine, [request_of(text) for text in texts], log.add)
    audio_s = sum(each for _, each in log.points)
    found: dict[str, Any] = {
        "num_segments": len(texts),
        "num_slots": engine.num_slots,
        "audio_s": round(audio_s, 1),
        "wall_s": round(wall_s, 2),
        "x_real_time": round(audio_s / wall_s, 1),
        "steady_x_real_time": steady_rate(log.points),
        **(watch.summary() if watch else {}),
    }
    print(json.dumps(found), flush=True)
    engine.close(30.0)


if __name__ == "__main__":
    main()
