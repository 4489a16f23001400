"""The workers of a chaos run: real `chatterqueue worker` processes, killed, frozen, told to stop and replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.chaos.orders import Orders
from bench.chaos.processes import descendants, is_alive, send_signal

ROOT = Path(__file__).resolve().parents[2]

#: Seconds for a worker to be ready on a busy machine.
READY_S = 120.0


class Worker:
    """One supervisor and the process below it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], role: str) -> None:
        folder.mkdir(parents=True)
        self.log_path = folder / "worker.log"
        with self.log_path.open("wb") as log:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "producer.cli", "worker", "--role", role],
                cwd=ROOT,
                env={
                    **environment,
                    "CHATTERQUEUE_HEARTBEAT_DIR": str(folder / "heartbeat"),
                    "CHATTERQUEUE_CACHE_DIR": str(folder / "cache"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_s = time.monotonic()

    @property
    def pids(self) -> list[int]:
        """The supervisor and all below it."""
        return [self.supervisor.pid, *descendants(self.supervisor.pid)]

    @property
    def process_pid(self) -> int | None:
        """The process that does the work; None while there is none."""
        below = descendants(self.supervisor.pid)
        return below[0] if below else None

    def log(self) -> str:
        """Return all that was printed so far."""
        return self.log_path.read_text("utf-8", errors="replace")

    def is_ready(self) -> bool:
        """Say whether the process that runs now has said that it takes work."""
        log = self.log()
        return log.rfind("worker_ready") > max(log.rfind("process_ended"), log.rfind("process_started"))


class Fleet:
    """All workers of one row; a context manager, after which none is left."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._num_started = 0
        self.workers: list[Worker] = []
        #: Process id of a worker process -> second (Unix) at which it was killed or frozen.
        self.killed: dict[int, float] = {}
        #: The same on the monotonic clock.
        self.killed_s: dict[int, float] = {}
        self._logs: list[Path] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            for pid in worker.pids:
                send_signal(pid, signal.SIGCONT)
        for worker in list(self.workers):
            self.kill(worker, is_noted=False)

    def start(
        self,
        orders: Orders,
        *,
        role: str = "all",
        environment: Mapping[str, str] | None = None,
        is_awaited: bool = True,
    ) -> Worker:
        """Start a worker; wait until it takes work unless told not to."""
        self._num_started += 1
        path = os.pathsep.join([str(ROOT / "bench" / "chaos" / "site"), str(ROOT)])
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", **orders.to_environment()}
        variables = {**self._environment, **own, **(environment or {})}
        worker = Worker(self._folder / f"worker-{self._num_started}", variables, role)
        self.workers.append(worker)
        self._logs.append(worker.log_path)
        if is_awaited:
            self.wait_until(worker.is_ready, lambda: f"the worker is ready; its log:\n{worker.log()[-3000:]}", READY_S)
        return worker

    def wait_until(self, is_so: Callable[[], bool], what: Callable[[], str] | str, timeout_s: float) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it did not come.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"after {timeout_s:g} s still not: {what() if callable(what) else what}")
            time.sleep(0.05)

    def kill(self, worker: Worker, *, is_noted: bool = True) -> None:
        """Kill a supervisor and all below it with -9, at once: a machine that loses power."""
        pids = worker.pids
        for pid in pids:
            send_signal(pid, signal.SIGKILL)
        if is_noted:
            self._note(pids[1:])
        worker.supervisor.wait(20)
        self.workers.remove(worker)

    def kill_process(self, worker: Worker) -> bool:
        """Kill with -9 only the process below a supervisor, which starts another; return whether there was one."""
        pid = worker.process_pid
        if pid is None:
            return False
        send_signal(pid, signal.SIGKILL)
        self._note([pid])
        return True

    def freeze(self, worker: Worker) -> list[int]:
        """Stop a supervisor and all below it in mid-air; return their ids."""
        pids = worker.pids
        for pid in pids:
            send_signal(pid, signal.SIGSTOP)
        self._note(pids[1:])
        return pids

    def thaw(self, worker: Worker) -> None:
        """Let them go on."""
        for pid in worker.pids:
            send_signal(pid, signal.SIGCONT)

    def terminate(self, worker: Worker, timeout_s: float = 60.0) -> float:
        """Ask a worker to drain and end; return the seconds that it took.

        Raises:
            TimeoutError: it did not end.
        """
        begun_s = time.monotonic()
        worker.supervisor.terminate()
        try:
            worker.supervisor.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"a worker did not end in {timeout_s:g} s:\n{worker.log()[-3000:]}") from None
        self.workers.remove(worker)
        return time.monotonic() - begun_s

    def num_living(self) -> int:
        """Return how many supervisors run."""
        return sum(is_alive(worker.supervisor.pid) for worker in self.workers)

    def logs(self) -> Iterator[str]:
        """Yield what each worker of the row has printed, those that are gone too."""
        for path in self._logs:
            yield path.read_text("utf-8", errors="replace")

    def count_in_logs(self, word: str) -> int:
        """Return how often a word was logged."""
        return sum(log.count(word) for log in self.logs())

    def _note(self, pids: list[int]) -> None:
        for pid in pids:
            self.killed.setdefault(pid, time.time())
            self.killed_s.setdefault(pid, time.monotonic())
