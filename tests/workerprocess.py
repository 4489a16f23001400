"""A real worker in its own processes, as integration tests see it: start, kill, read its log."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import redis
from processes import descendants, send_signal

from producer.stack import worker_command

READY_S = 60.0


class WorkerProcess:
    """`python -m worker.supervisor` and all that it starts."""

    def __init__(self, environment: dict[str, str], log_path: Path, role: str = "all") -> None:
        self.log_path = log_path
        self.environment = environment
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                worker_command(role),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def log(self) -> str:
        """All that the processes have printed so far."""
        return self.log_path.read_text("utf-8", errors="replace")

    def wait_until_ready(self, client: redis.Redis, workers_key: str, known: set[bytes]) -> None:
        """Wait until a worker that was not `known` before says in Redis that it is there."""
        deadline_s = time.monotonic() + READY_S
        while set(client.hkeys(workers_key)) <= known:
            assert self._process.poll() is None, f"the worker ended with {self._process.returncode}:\n{self.log()}"
            assert time.monotonic() < deadline_s, f"the worker is not ready after {READY_S} s:\n{self.log()}"
            time.sleep(0.05)

    def kill9(self) -> None:
        """Kill the supervisor and every process below it with -9, at once: a machine that loses power."""
        for pid in [self.pid, *descendants(self.pid)]:
            send_signal(pid, signal.SIGKILL)
        self._process.wait(10)

    def kill9_children(self) -> None:
        """Kill only what the supervisor has started, so that it starts it again."""
        for pid in descendants(self.pid):
            send_signal(pid, signal.SIGKILL)

    def terminate(self, timeout_s: float = 45.0) -> int:
        """Ask the worker to drain and end; return its exit status."""
        self._process.terminate()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 45.0) -> int:
        """Wait for the supervisor to end; return its exit status."""
        return self._process.wait(timeout_s)

    def stop(self) -> None:
        """End everything that is still there when a test is over."""
        if self._process.poll() is None:
            below = descendants(self.pid)
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill9()
            for pid in below:
                send_signal(pid, signal.SIGKILL)
