"""The rows of the fault matrix: each a function that breaks something while work runs in a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.chaos.scene import Scene

Play = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the matrix."""

    number: str
    fault: str
    play: Play
    #: Whether it damages a server so that others must not share it.
    needs_own_servers: bool = False


#: All rows in the order in which they are played.
ROWS: dict[str, Row] = {}


def row(number: str, fault: str, *, needs_own_servers: bool = False) -> Callable[[Play], Play]:
    """Put a function into the matrix."""

    def register(play: Play) -> Play:
        ROWS[number] = Row(number, fault, play, needs_own_servers)
        return play

    return register
