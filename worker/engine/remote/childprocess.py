"""The engine process as its worker process sees it: started with one end of a channel, ended for certain.

Knows nothing of what is said over the channel.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, Self

#: Seconds for a process that was killed to be gone; a device in trouble may keep it longer, and nobody can help that.
_KILLED_S: Final = 5.0


class ChildProcess:
    """`python -m worker.engine.remote`, from start to end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def start(cls) -> tuple[Self, socket.socket]:
        """Start one; return it and our end of its channel.

        It has our environment, our standard error and our module path. It ends when the channel does, and on Linux by
        SIGKILL when we are gone, unless another thread than the main one starts it: the kernel takes that thread's
        end for ours.
        """
        own_end, its_end = socket.socketpair()
        own_pid = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        try:
            process = subprocess.Popen(
                # -P: the folder that we happen to be in is on the path only if it is on ours.
                [sys.executable, "-P", "-m", "worker.engine.remote", str(its_end.fileno()), str(own_pid)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)},
                stdin=subprocess.DEVNULL,
                pass_fds=[its_end.fileno()],
            )
        except BaseException:
            own_end.close()
            raise
        finally:
            its_end.close()
        return cls(process), own_end

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, timeout_s: float) -> bool:
        """Wait for it to end; return False if it has not in this time."""
        try:
            self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> bool:
        """End it, whatever it is doing; return False if even that does not help."""
        self._process.kill()
        return self.wait(_KILLED_S)

    def how_it_ended(self) -> str:
        """Return the end of a sentence: by which signal, or with which status."""
        status = self._process.poll()
        if status is None:
            return "closed its channel and did not end"
        if status >= 0:
            return f"ended with status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:  # a real-time signal
            return f"was ended by signal {-status}"
