"""Who may launch: one renderer at a time, and while it waits for the device another one.

A batch takes a tenth of its time on the host: tables are made, the encoder is launched operation by operation, samples
are cut apart. With one renderer the device has nothing to render meanwhile. Two that take turns here fill each other's
gaps, and nothing that is global to the process, such as cuDNN's switches, is ever set by both. Knows nothing of what
is rendered.
"""

from __future__ import annotations

import threading
from types import TracebackType

from worker.engine.s3gen.fetching import wait_for_stream


class Turnstile:
    """Entered by whoever launches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Wait for the turn."""
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one launch."""
        self._lock.release()

    def wait(self) -> None:
        """Wait for the current stream and let others launch meanwhile; only from within."""
        self._lock.release()
        try:
            wait_for_stream()
        finally:
            self._lock.acquire()
