"""The one thread that writes into a channel, so that nobody who has something to say waits for the other side.

Two processes that both write while neither reads would wait for each other for ever: here reading never waits for
writing. Knows nothing of what is said.
"""

from __future__ import annotations

import queue
import threading

from worker.engine.remote.channel import Channel, Frame, frame_of


class Outbox:
    """Messages on their way out, in the order in which they were put in. Safe for use from many threads."""

    def __init__(self, channel: Channel, *, name: str) -> None:
        self._channel = channel
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, message: object) -> None:
        """Have a message sent soon; once the other side is gone, or after `stop`, it is dropped.

        Raises:
            Exception: whatever `pickle` raises of an object that it cannot take apart.
        """
        if not self._is_over:
            self._frames.put(frame_of(message))

    def stop(self, timeout_s: float) -> bool:
        """Wait until everything is sent and end the thread; return False if that takes longer."""
        self._frames.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (frame := self._frames.get()) is not None:
                self._channel.write(frame)
        except OSError:  # whoever reads from the channel finds out too, and acts on it
            pass
        finally:
            self._is_over = True
