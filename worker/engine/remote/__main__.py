"""`python -m worker.engine.remote FD PID`: an engine process, as `worker.engine.remote.childprocess` starts it.

FD is its end of the channel, PID its worker process, 0 if that cannot be tied to it. Signals that reach the whole
process group are the worker process's to follow: it says when to end, by a message or by being gone.
"""

from __future__ import annotations

import signal
import socket
import sys

from worker.parent import die_with_parent


def main() -> None:
    """Serve one engine; does not return."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_fd, parent_pid = map(int, sys.argv[1:])
    if parent_pid:
        # Not SIGTERM, as a worker process gets: an engine alone has nothing to give back.
        die_with_parent(parent_pid, signal.SIGKILL)
    from worker.engine.remote.channel import Channel
    from worker.engine.remote.messages import Opening
    from worker.engine.remote.server import EngineServer, say_goodbye
    from worker.logs import configure_logging

    channel = Channel(socket.socket(fileno=end_fd))
    opening = channel.receive()
    assert isinstance(opening, Opening)
    configure_logging(opening.log_level)
    EngineServer(channel).serve(opening.maker)
    say_goodbye()


if __name__ == "__main__":
    main()
