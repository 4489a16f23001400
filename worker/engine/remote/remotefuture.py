"""The promise of a take that another process makes: who gives it up here has it given up there.

Knows nothing of processes.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.engine.batching.takefuture import TakeFuture


class RemoteFuture(TakeFuture):
    """A `TakeFuture` that says once when nobody wants it any more.

    It counts as begun when the other side has said so. One that is cancelled while these words are on their way ends as
    cancelled here and is given up there: nobody has waited for it, and what was spoken of it is dropped.
    """

    def __init__(self, give_up: Callable[[], None]) -> None:
        super().__init__()
        self._give_up: Callable[[], None] | None = give_up

    def cancel(self) -> bool:
        """Cancel it if it has not been begun; return whether it is cancelled."""
        is_cancelled = super().cancel()
        if is_cancelled:
            self._say_once()
        return is_cancelled

    def abandon(self) -> None:
        """Ask the engine to give the segment up even if it has been begun; the future then ends as cancelled."""
        super().abandon()
        if not self.done():
            self._say_once()

    def _say_once(self) -> None:
        give_up, self._give_up = self._give_up, None
        if give_up is not None:
            give_up()
