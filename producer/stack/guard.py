"""Runs one command and ends it when whoever asked for it is gone.

Knows nothing of the project. It is started by its path (`python -I -S guard.py GRACE_S COMMAND ...`), so that no
package is imported: it is there in some 30 ms. Its standard input is a pipe that nobody writes to; the end of that
pipe means "stop", whether the other side closed it or was killed. So one and the same path serves a clean stop and a
crash, on Linux and on macOS.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

#: `prctl` option of Linux: the signal that this process gets when its parent dies.
PR_SET_PDEATHSIG = 1


def run(command: list[str], grace_s: float) -> int:
    """Run the command until it ends or standard input does.

    Args:
        command: Program and arguments.
        grace_s: Seconds between TERM and KILL.

    Returns:
        The command's exit status; 128 and the signal's number if a signal ended it.
    """
    guard_pid = os.getpid()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # so that KILL reaches all of its group and nothing else
        preexec_fn=lambda: _follow(guard_pid),  # safe: there is one thread so far
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_end_with_stdin, args=(child, grace_s), daemon=True).start()
    returncode = child.wait()
    return returncode if returncode >= 0 else 128 - returncode


def _follow(guard_pid: int) -> None:
    """Ask the kernel to end this process when the guard itself is killed (Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != guard_pid:  # it was killed before prctl took effect
        os._exit(1)


def _end_with_stdin(child: subprocess.Popen[bytes], grace_s: float) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], float(sys.argv[1])))
