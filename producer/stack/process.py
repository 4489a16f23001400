"""A child process that is never left behind: it ends with us, however we end.

Knows nothing of what runs in it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from producer.contract.errors import StackError

GUARD: Final = Path(__file__).with_name("guard.py")


class GuardedProcess:
    """A command under a guard of its own, in its own session, so that the terminal's Ctrl-C does not hit it.

    Standard output and error go to a log file. If this process is killed, even with -9, the guard sees its pipe end
    and stops the command.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        environment: Mapping[str, str],
        folder: Path | None = None,
        grace_s: float = 10.0,
        inherited_fds: Sequence[int] = (),
    ) -> None:
        """Start the command.

        Args:
            name: What it is called in errors.
            command: Program and arguments.
            log_path: File that its output is appended to.
            environment: All of its environment.
            folder: Its working folder; ours if None.
            grace_s: Seconds between TERM and KILL when it is stopped.
            inherited_fds: Descriptors that the guard holds open until the command has ended.

        Raises:
            StackError: The log cannot be written or the guard cannot be started.
        """
        self.name = name
        self.log_path = log_path
        self._grace_s = grace_s
        try:
            with log_path.open("ab") as log:
                self._guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(GUARD), str(grace_s), *command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    cwd=folder,
                    start_new_session=True,
                    pass_fds=tuple(inherited_fds),
                )
        except OSError as error:
            raise StackError(name, str(error)) from error

    @property
    def pid(self) -> int:
        """The guard's process id; the command is its only child."""
        return self._guard.pid

    @property
    def exit_code(self) -> int | None:
        """The command's exit status, or None while it runs."""
        return self._guard.poll()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until the command has ended; return its exit status, or None when the time was over."""
        try:
            return self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def request_stop(self) -> None:
        """Ask the command to end and return at once."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def stop(self) -> None:
        """End the command: TERM, the time of grace, KILL; return when it is gone."""
        self.request_stop()
        if self.wait(self._grace_s + 5) is None:  # the guard itself does not answer
            self._guard.kill()
            self._guard.wait()

    def log_tail(self, num_lines: int = 15) -> str:
        """Return the last lines that the command printed."""
        try:
            lines = self.log_path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-num_lines:])


def worker_command(role: str = "all", *arguments: str) -> list[str]:
    """Return the command line of a worker: the supervisor of one process per GPU, or of one CPU process.

    Args:
        role: `all`, `gpu` or `cpu`.
        arguments: Further options of `python -m worker.supervisor`.
    """
    return [sys.executable, "-m", "worker.supervisor", "--role", role, *arguments]
