"""What is different inside the worker process of `bench.feeding`: its engine, and a stopwatch at some of its methods.

Put in from outside before the worker starts; the product has no such hooks. A name that is gone makes the process end
at once.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.cpuseconds import cpu_seconds
from bench.pacedengine import Pace, PacedEngine

VARIABLE: Final = "CHATTERQUEUE_PACE"

#: Seconds between two notes of the stopwatch.
NOTE_S: Final = 0.5


def pace_to_environment(pace: Pace, parts: Path | None) -> dict[str, str]:
    """Return what tells the worker."""
    said = {
        "num_slots": pace.num_slots,
        "x_real_time": pace.x_real_time,
        "sound": str(pace.sound),
        "notes": str(pace.notes),
        "parts": None if parts is None else str(parts),
    }
    return {VARIABLE: json.dumps(said)}


def install() -> None:
    """Replace the engine, and measure if so asked."""
    said = json.loads(os.environ[VARIABLE])
    from worker import process

    if not callable(process.build_engine):
        raise TypeError("worker.process.build_engine is no function")
    pace = Pace(said["num_slots"], said["x_real_time"], Path(said["sound"]), Path(said["notes"]))
    engine = PacedEngine(pace)
    process.build_engine = lambda name, settings: engine  # type: ignore[assignment,return-value]
    if said["parts"]:
        _measure(Path(said["parts"]))


class Stopwatch:
    """CPU seconds of threads within methods; what is called from within one is counted in both."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent_s: dict[str, float] = defaultdict(float)
        self._num_calls: dict[str, int] = defaultdict(int)

    def around(self, owner: Any, method: str, part: str) -> None:
        """Measure a method of a class, or a function of a module."""
        inner: Callable[..., Any] = getattr(owner, method)

        def measured(*arguments: Any, **named: Any) -> Any:
            begun_s = time.thread_time()
            try:
                return inner(*arguments, **named)
            finally:
                spent_s = time.thread_time() - begun_s
                with self._lock:
                    self._spent_s[part] += spent_s
                    self._num_calls[part] += 1

        setattr(owner, method, measured)

    def note(self) -> dict[str, Any]:
        """Return part -> (CPU seconds, calls)."""
        with self._lock:
            return {part: [self._spent_s[part], self._num_calls[part]] for part in self._spent_s}


def _measure(path: Path) -> None:
    from producer.ledger import Ledger
    from producer.messages import Messenger
    from producer.storage import ObjectStore
    from worker import pool, transport
    from worker.codec import SegmentCodec
    from worker.logs import EventFormatter
    from worker.narration import synthesis
    from worker.narration.attempt import Attempts
    from worker.narration.lookout import Lookout
    from worker.quality import Gate

    watch = Stopwatch()
    for owner, method, part in (
        (pool.TaskPool, "_run", "thread, all of it"),
        (Attempts, "run", "attempt, all of it"),
        (synthesis.Synthesizer, "_part", "recipe"),
        (Ledger, "claim", "claim"),
        (Ledger, "complete", "complete"),
        (Messenger, "send", "send"),
        (ObjectStore, "get", "S3 GET"),
        (ObjectStore, "put", "S3 PUT"),
        (Lookout, "wait", "wait"),
        (Gate, "choose", "quality gate"),
        (SegmentCodec, "encode", "FLAC"),
        (EventFormatter, "format", "log line"),
        (transport, "admit", "admit"),
    ):
        watch.around(owner, method, part)

    def note() -> None:
        while True:
            time.sleep(NOTE_S)
            threads = {thread.native_id: thread.name for thread in threading.enumerate()}
            said = {"at_s": time.time(), "parts": watch.note(), "threads": _thread_seconds(threads)}
            with path.open("a") as notes:
                notes.write(json.dumps(said) + "\n")

    threading.Thread(target=note, name="stopwatch", daemon=True).start()


def _thread_seconds(threads: dict[int | None, str]) -> dict[str, list[float]]:
    """Return (CPU seconds, 1) of threads by name; numbers in names are left out, so a pool counts as one."""
    seconds: dict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        name = threads.get(int(task.name), "native").partition("_")[0]
        seconds[name] += cpu_seconds(task)
    return {name: [spent_s, 1] for name, spent_s in seconds.items()}
