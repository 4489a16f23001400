"""A consumer of samples on a thread of its own, so that several cores can work at one stream. Knows no consumer.

NumPy and the encoders let go of the GIL for most of what they do, and a take at a time is much to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

#: Blocks that wait for a consumer. A block is a take and its pause, 2 MB at most, and all branches share it.
MAX_WAITING: Final = 4


class Branch:
    """Calls a function with every block that it is fed, in order, beside whoever feeds it.

    The `with` block ends when all of them are consumed, also on an error: what a consumer has done does not depend on
    which thread was faster. After an error of the consumer's own, the rest is passed over.
    """

    def __init__(self, consume: Callable[[NDArray[np.int16]], None], *, name: str) -> None:
        self._consume = consume
        self._blocks: Queue[NDArray[np.int16] | None] = Queue(MAX_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"assembly-{name}", daemon=True)

    def feed(self, pcm: NDArray[np.int16]) -> None:
        """Have samples consumed soon, [num_samples] int16; waits while too many wait already.

        Raises:
            Exception: what the consumer raised of an earlier block; the `with` block must end.
        """
        if self._error is not None:
            raise self._error
        self._blocks.put(pcm)

    def _run(self) -> None:
        while (pcm := self._blocks.get()) is not None:
            if self._error is not None:
                continue  # so that nobody waits for ever to feed it
            try:
                self._consume(pcm)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the samples come from
                self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.put(None)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
