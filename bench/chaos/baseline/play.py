"""The rows of stock Celery: 200 kills, a frozen idle worker, a zombie, a MemoryError, one malformed message."""

from __future__ import annotations

import base64
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import redis

from bench.chaos.executions import read_executions
from bench.chaos.fleet import ROOT
from bench.chaos.outcome import Outcome, table
from bench.chaos.processes import descendants, send_signal
from bench.chaos.record import Record
from bench.chaos.servers import Servers

#: Seconds until a message that was delivered and not acknowledged is delivered again. The default is an hour.
VISIBILITY_S = 4

#: How often Celery looks for such messages: every 10 s x 10 by default. Here every second, so that a row of many kills
#: ends at all; the row of one kill keeps the defaults.
QUICK_SWEEP = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1, "unacked_mutex_expire": 2}

#: Seconds after which a worker that still runs has survived what lies in its queue; an end may take half of them.
CALM_S = 40.0

#: Starts of a worker in a row that crash before it counts as a crash loop.
NUM_STARTS = 4


class _Stage:
    """One row: a database of Redis, a file of notes, and the workers."""

    def __init__(self, servers: Servers, folder: Path, database: int, transport: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.notes = folder / "notes"
        url = servers.environment()["CHATTERQUEUE_REDIS_URL"].removesuffix("/0") + f"/{database}"
        self.redis = redis.Redis.from_url(url)
        orders = {
            "broker": url,
            "notes": str(self.notes),
            "transport": {"visibility_timeout": VISIBILITY_S, **transport},
        }
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "CHAOS_CELERY": json.dumps(orders)}
        os.environ["CHAOS_CELERY"] = self._environment["CHAOS_CELERY"]
        sys.modules.pop("bench.chaos.baseline.app", None)
        # Anew for each row: the module reads its orders when it is imported.
        self.app = importlib.import_module("bench.chaos.baseline.app")
        self.killed_s: dict[int, float] = {}
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self, *, is_awaited: bool = True) -> subprocess.Popen[bytes]:
        """Start a worker with two processes; wait until it says that it is ready."""
        path = self._folder / f"worker-{len(self._workers)}.log"
        with path.open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "bench.chaos.baseline.app", "worker", "-c", "2", "-l", "INFO"],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker.log_path = path  # type: ignore[attr-defined]
        self._workers.append(worker)
        if is_awaited:
            wait_until(lambda: is_ready(worker) or worker.poll() is not None, 90)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker and its processes with -9, at once."""
        for pid in [worker.pid, *descendants(worker.pid)]:
            self.killed_s[pid] = time.monotonic()
            send_signal(pid, signal.SIGKILL)
        worker.wait(20)

    def freeze(self, worker: subprocess.Popen[bytes], number: signal.Signals = signal.SIGSTOP) -> None:
        """Stop a worker and its processes, or send them another signal."""
        for pid in [worker.pid, *descendants(worker.pid)]:
            send_signal(pid, number)

    def counts(self) -> tuple[Counter[str], Counter[str]]:
        """Return how often each task was begun and ended."""
        done = read_executions(self.notes, self.killed_s)
        return done.begun, done.ended

    def num_left(self) -> int:
        """Return how many messages Redis still holds."""
        return int(self.redis.llen("celery")) + int(self.redis.hlen("unacked"))

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            if worker.poll() is None:
                self.freeze(worker, signal.SIGCONT)
                self.kill(worker)
        self.app.app.close()
        self.redis.close()


def is_ready(worker: Any) -> bool:
    """Say whether a worker takes work."""
    return " ready." in worker.log_path.read_text(errors="replace")


def wait_until(is_so: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for something; return whether it came."""
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


def _count(outcome: Outcome, stage: _Stage, num_tasks: int) -> None:
    """Write down what became of the tasks."""
    done = read_executions(stage.notes, stage.killed_s)
    outcome.acknowledged = num_tasks
    outcome.terminal = len(done.ended)
    outcome.lost = num_tasks - len(done.ended)
    # Nothing tells a second end from the first: each would have stored its result.
    outcome.doubled_effects = sum(count - 1 for count in done.ended.values())
    outcome.doubled_executions = done.num_doubled
    outcome.wasted_percent = round(done.wasted_percent, 2)
    outcome.figures["left_in_redis"] = stage.num_left()


def _kills(stage: _Stage, outcome: Outcome, chance: random.Random, *, is_short: bool) -> None:
    num_tasks, num_kills, segment_s = (60, 6, 0.1) if is_short else (1_000, 200, 0.15)
    due_s: dict[Any, float] = {}
    workers = [stage.start(), stage.start()]
    for number in range(num_tasks):
        stage.app.speak.delay(number, segment_s)
    while outcome.num_faults < num_kills and len(stage.counts()[1]) < num_tasks:
        for worker in list(workers):
            if not is_ready(worker):
                continue
            if time.monotonic() < due_s.setdefault(worker, time.monotonic() + chance.uniform(0.1, 2.0)):
                continue
            stage.kill(worker)
            outcome.num_faults += 1
            workers.remove(worker)
            workers.append(stage.start(is_awaited=False))
        time.sleep(0.05)
    wait_until(lambda: len(stage.counts()[1]) == num_tasks or (stage.num_left() == 0 and _is_idle(stage)), 180)
    _count(outcome, stage, num_tasks)


def _is_idle(stage: _Stage) -> bool:
    """Say whether nothing has been begun or ended for a while."""
    return time.time() - stage.notes.stat().st_mtime > 10 * VISIBILITY_S


def _frozen(stage: _Stage, outcome: Outcome, chance: random.Random, *, is_short: bool) -> None:
    num_times = 1 if is_short else 4
    for number in range(num_times):
        worker = stage.start()
        time.sleep(1.5)
        stage.freeze(worker)
        stage.app.speak.delay(number, 0.05)
        time.sleep(2.0)
        stage.kill(worker)
        outcome.num_faults += 1
        other = stage.start()
        wait_until(lambda number=number: str(number) in stage.counts()[1], 20)
        stage.kill(other)
    _count(outcome, stage, num_times)


def _one_kill(stage: _Stage, outcome: Outcome, chance: random.Random, *, is_short: bool) -> None:
    workers = [stage.start(), stage.start()]
    stage.app.speak.delay(0, 2.0)
    wait_until(lambda: stage.counts()[0]["0"] == 1, 20)
    speaker = int(stage.notes.read_text().split()[2])
    stage.kill(next(worker for worker in workers if speaker in descendants(worker.pid)))
    killed_s = time.monotonic()
    outcome.num_faults = 1
    if wait_until(lambda: stage.counts()[0]["0"] == 2, 20 if is_short else 150):
        outcome.recovery_p50_s = outcome.recovery_p99_s = round(time.monotonic() - killed_s, 1)
        wait_until(lambda: stage.counts()[1]["0"] == 1, 20)
    _count(outcome, stage, 1)


def _zombie(stage: _Stage, outcome: Outcome, chance: random.Random, *, is_short: bool) -> None:
    worker = stage.start()
    stage.app.speak.delay(0, 2.0)
    wait_until(lambda: stage.counts()[0]["0"] == 1, 20)
    stage.freeze(worker)
    outcome.num_faults = 1
    stage.start()
    wait_until(lambda: stage.counts()[1]["0"] == 1, 90)
    stage.freeze(worker, signal.SIGCONT)
    wait_until(lambda: stage.counts()[1]["0"] == 2, 20)
    _count(outcome, stage, 1)


def _crash_loop(stage: _Stage, outcome: Outcome) -> None:
    """Start workers as a supervisor does; note how many end, and whether work behind the cause is done."""
    stage.app.speak.delay(0, 0.05)
    num_crashes = 0
    for _ in range(NUM_STARTS):
        worker = stage.start()
        has_ended = wait_until(lambda worker=worker: worker.poll() is not None, CALM_S)
        num_crashes += has_ended
        if not has_ended:
            break
    outcome.num_faults = 1
    outcome.figures["starts_that_crashed"] = num_crashes
    _count(outcome, stage, 1)


def _memory_error(stage: _Stage, outcome: Outcome, chance: random.Random, *, is_short: bool) -> None:
    stage.app.run_out_of_memory.delay()
    _crash_loop(stage, outcome)


def _malformed(stage: _Stage, outcome: Outcome, chance: random.Random, *, is_short: bool) -> None:
    message = {
        "body": base64.b64encode(b"[]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "speak", "id": "x", "lang": "py"},
        "properties": {"delivery_info": {"exchange": "", "routing_key": "celery"}, "body_encoding": "base64"}
        | {"delivery_tag": "t", "correlation_id": "x", "priority": 0, "delivery_mode": 2},
    }
    stage.redis.lpush("celery", json.dumps(message))
    _crash_loop(stage, outcome)


_ROWS: tuple[tuple[str, str, Any, Mapping[str, Any]], ...] = (
    ("2", "kill -9 of parent and processes together", _kills, QUICK_SWEEP),
    ("2a", "one kill -9 in work, default sweep", _one_kill, {}),
    ("4", "an idle worker is frozen, given work, then killed", _frozen, QUICK_SWEEP),
    ("5", "a zombie: frozen in work for longer than the timeout, then thawed", _zombie, QUICK_SWEEP),
    ("8s", "a task that raises MemoryError", _memory_error, QUICK_SWEEP),
    ("37", "one malformed message", _malformed, QUICK_SWEEP),
)


def run(seed: str, numbers: str, *, is_short: bool) -> int:
    """Play the rows with these numbers, or all; print and record them. It compares, so nothing that it finds fails."""
    chosen = [row for row in _ROWS if not numbers or row[0] in numbers.split(",")]
    if not chosen:
        raise SystemExit(f"stock Celery has the rows {', '.join(row[0] for row in _ROWS)}")
    record = Record(seed, numbers, len(chosen), is_short=is_short, baseline="celery")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="chaos-celery-") as name, Servers(Path(name) / "servers") as servers:
        for database, (number, fault, play, transport) in enumerate(chosen, start=1):
            outcome = Outcome(number, fault)
            begun_s = time.monotonic()
            stage = _Stage(servers, Path(name) / number, database, transport)
            try:
                play(stage, outcome, random.Random(f"{seed}-{number}"), is_short=is_short)
            finally:
                stage.close()
                shutil.rmtree(Path(name) / number, ignore_errors=True)
            outcome.wall_s = round(time.monotonic() - begun_s, 1)
            outcomes.append(outcome)
            path = record.write(outcomes)
            print(f"row {number}: {outcome.wall_s:g} s {outcome.figures}", flush=True)
    print("\n".join(table(map(asdict, outcomes))))
    print(path)
    return 0
