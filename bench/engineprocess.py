"""What it costs that the engine has a process of its own, with an engine that is done at once.

    python -m bench.engineprocess [--takes 1500] [--seconds 10]

Prints one line of JSON for each number of threads that wait for takes: round trips a second, and the CPU time of a
take in each process. The threads' own work, which a worker has too, is in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from bench.cpuseconds import cpu_seconds
from producer.contract.narration import EngineName, ModelName, Parameters
from worker.engine.batching.takefuture import TakeFuture
from worker.engine.protocol import EngineHealth
from worker.engine.remote.engineprocess import EngineProcess
from worker.engine.request import SegmentRequest, Take, Usage
from worker.engine.tone import SAMPLE_RATE_HZ, ToneEngine

#: Speech tokens of a second of audio.
TOKENS_PER_S: Final = 25

#: About as many characters as a segment of a book has.
TEXT: Final = "The lamp was lit at nine, and nobody came to see it. " * 5


class InstantEngine(ToneEngine):
    """Gives the same samples for every segment, with a future like that of a batching engine."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        pcm = np.random.default_rng(0).uniform(-1, 1, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
        tokens = np.arange(round(seconds * TOKENS_PER_S))
        self._take = Take(pcm, SAMPLE_RATE_HZ, 0, 0.5, True, usage=Usage(0.3, 0.2), tokens=tokens)

    def submit(self, request: SegmentRequest) -> Future[Take]:
        """Speak at once."""
        future = TakeFuture()
        future.begin()
        future.end(self._take)
        return future

    def why_not(self, model: ModelName, language: str) -> str | None:
        """Speak every language."""
        return None

    def health(self) -> EngineHealth:
        """Be ready."""
        return EngineHealth(is_ready=True, num_in_flight=0, num_finished=0, stalled_s=0.0)


@dataclass(frozen=True)
class InstantMaker:
    """Makes an `InstantEngine`."""

    name: ClassVar[EngineName] = EngineName.TONE
    seconds: float

    def make(self) -> InstantEngine:
        """Return the engine."""
        return InstantEngine(self.seconds)


def measure(engine: EngineProcess, num_takes: int, num_threads: int) -> dict[str, Any]:
    """Have that many takes made while so many threads wait for them."""
    requests = [SegmentRequest(TEXT, "en", ModelName.ENGLISH, None, Parameters(), seed) for seed in range(num_takes)]
    assert engine.pid is not None
    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(lambda request: len(engine.submit(request).result().pcm), requests[:num_threads]))
        engine_process = Path(f"/proc/{engine.pid}")
        before, theirs_s = resource.getrusage(resource.RUSAGE_SELF), cpu_seconds(engine_process)
        begun_s = time.perf_counter()
        list(pool.map(lambda request: len(engine.submit(request).result().pcm), requests))
        wall_s = time.perf_counter() - begun_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    per_take_ms = 1_000 / num_takes
    return {
        "num_threads": num_threads,
        "takes_per_s": round(num_takes / wall_s),
        "worker_user_ms": round((after.ru_utime - before.ru_utime) * per_take_ms, 2),
        "worker_system_ms": round((after.ru_stime - before.ru_stime) * per_take_ms, 2),
        "engine_ms": round((cpu_seconds(engine_process) - theirs_s) * per_take_ms, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", type=int, default=1_500)
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio in each take")
    options = parser.parse_args()
    # By its name, under which the engine process can import it: here this module is `__main__`.
    from bench.engineprocess import InstantMaker

    engine = EngineProcess(InstantMaker(options.seconds))
    engine.load()
    engine.warm_up()
    for num_threads in (1, 16, 256):
        print(json.dumps(measure(engine, options.takes, num_threads)), flush=True)
    engine.close(1.0)


if __name__ == "__main__":
    main()
