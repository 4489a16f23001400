"""Where the threads of a worker process are: a stopwatch at some of its methods.

Put in from outside before the worker starts; the product has no such hook. A name that is gone makes the process end
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

#: Names the folder for the notes, a file for each process.
VARIABLE: Final = "CHATTERQUEUE_STOPWATCH"

#: Changes a worker process before it starts.
SITE: Final = Path(__file__).parent / "workersite"

#: Seconds between two notes.
NOTE_S: Final = 0.5


def site_environment() -> dict[str, str]:
    """Return what has a worker process load `workersite`, on top of what this process loads."""
    return {"PYTHONPATH": os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])])}


class Stopwatch:
    """Seconds of threads within methods; what is called from within one is counted in both."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent_s: dict[str, float] = defaultdict(float)
        self._num_calls: dict[str, int] = defaultdict(int)
        self._within_s: dict[str, float] = defaultdict(float)

    def around(self, owner: Any, method: str, part: str) -> None:
        """Measure a method of a class, or a function of a module."""
        inner: Callable[..., Any] = getattr(owner, method)

        def measured(*arguments: Any, **named: Any) -> Any:
            came_s, begun_s = time.perf_counter(), time.thread_time()
            try:
                return inner(*arguments, **named)
            finally:
                spent_s, within_s = time.thread_time() - begun_s, time.perf_counter() - came_s
                with self._lock:
                    self._spent_s[part] += spent_s
                    self._num_calls[part] += 1
                    self._within_s[part] += within_s

        setattr(owner, method, measured)

    def note(self) -> dict[str, Any]:
        """Return part -> (CPU seconds, calls, seconds from each call's beginning to its end)."""
        with self._lock:
            return {part: [self._spent_s[part], self._num_calls[part], self._within_s[part]] for part in self._spent_s}


def install() -> None:
    """Measure this process."""
    folder = Path(os.environ[VARIABLE])
    folder.mkdir(parents=True, exist_ok=True)
    _measure(folder / f"{os.getpid()}.jsonl")


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """Return the notes of the process that spoke the most segments, in order."""
    processes = [[json.loads(line) for line in path.read_text().splitlines()] for path in folder.glob("*.jsonl")]
    return max(processes, key=lambda lines: lines[-1]["parts"].get("complete", [0, 0])[1])


def table(lines: list[dict[str, Any]], from_s: float, to_s: float) -> dict[str, Any]:
    """Return what each part took of a segment's CPU time, and how many threads were within it on the average.

    Args:
        lines: `read_lines`.
        from_s: seconds since the epoch at which the span begins.
        to_s: and at which it ends.
    """
    early, late = (min(lines, key=lambda line, at_s=at_s: abs(line["at_s"] - at_s)) for at_s in (from_s, to_s))
    passed_s = late["at_s"] - early["at_s"]

    def more(kind: str, place: int) -> dict[str, float]:
        nothing = [0.0] * (place + 1)
        return {name: found[place] - early[kind].get(name, nothing)[place] for name, found in late[kind].items()}

    num = more("parts", 1)["complete"]

    def per_segment(kind: str, place: int, times: float) -> dict[str, float]:
        return {name: round(times * value / num, 3) for name, value in more(kind, place).items()}

    return {
        "ms_per_segment": per_segment("parts", 0, 1000),
        "calls_per_segment": per_segment("parts", 1, 1),
        # By Little's law; whoever is not in `wait` is not in the engine.
        "mean_threads_within": {name: round(value / passed_s, 1) for name, value in more("parts", 2).items()},
        "thread_ms_per_segment": per_segment("threads", 0, 1000),
    }


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
    """Return (CPU seconds,) of threads by name; numbers in names are left out, so a pool counts as one."""
    seconds: dict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        name = threads.get(int(task.name), "native").partition("_")[0]
        seconds[name] += cpu_seconds(task)
    return {name: [spent_s] for name, spent_s in seconds.items()}
