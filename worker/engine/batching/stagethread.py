"""A thread that takes turns at one stage for as long as there is work, and sleeps until there is.

Knows nothing of the work. Every decision is in the stage's `turn`, which tests call themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from worker.engine.batching.inbox import Inbox


class Stage(Protocol):
    """One kind of work of the engine."""

    @property
    def inbox(self) -> Inbox[Any]:
        """Where its work comes from."""
        ...

    def turn(self) -> float | None:
        """Do what there is to do now; return the seconds until the next turn, None: when something has come.

        Raises:
            Exception: the engine cannot go on.
        """
        ...


class StageThread:
    """Daemon: a call that hangs cannot keep the process from ending."""

    def __init__(self, stage: Stage, *, name: str, on_crash: Callable[[BaseException], None]) -> None:
        self._stage = stage
        self._on_crash = on_crash
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to take turns."""
        self._thread.start()

    def stop(self) -> None:
        """Have the present turn be the last; returns at once."""
        self._is_stopped = True
        self._stage.inbox.bell.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the last turn; return whether it has ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        bell = self._stage.inbox.bell
        try:
            while not self._is_stopped:
                bell.clear()  # before the turn: what comes while it runs rings again
                wait_s = self._stage.turn()
                if wait_s != 0.0 and not self._is_stopped:
                    bell.wait(wait_s)
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait for this thread for ever
            self._on_crash(error)
