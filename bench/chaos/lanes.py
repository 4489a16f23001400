"""Rows played side by side: most of a row is waiting, and two cores are left alone by one that waits.

Each lane is a process with servers of its own, and takes the next row when it has played one. What is left to chance
comes from the seed and the row's number, so it is the same in any lane. Knows nothing of what rows do.
"""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Sequence
from multiprocessing.queues import Queue
from typing import Final

from bench.chaos import matrix
from bench.chaos.outcome import Outcome
from bench.chaos.play import play
from bench.chaos.rows import Row
from bench.chaos.scene import Scale

NUM_LANES: Final = 2

#: Begun first, the longest in front, because they take minutes each: nobody should wait for one of them at the end. The
#: first starts processes all the time; the two that are played beside it measure no recovery.
LONG_ROWS: Final = ("13", "3", "6", "25", "22r", "20", "5", "15")

#: Played by themselves before the others: they measure how soon what a dead process held is taken up again while
#: processes start all the time, and a start is all processor.
ALONE: Final = frozenset({"1", "2", "2d"})

#: Seconds between two looks at whether a lane's process is still there.
LOOK_S: Final = 5.0


def play_in_lanes(
    rows: Sequence[Row], seed: str, scale: Scale, on_row: Callable[[Sequence[Outcome]], object]
) -> list[Outcome]:
    """Play some rows first and the others in two lanes; return all outcomes in the order of the rows.

    Args:
        rows: which.
        seed: decides what is left to chance.
        scale: how much of everything.
        on_row: called after each row with all outcomes so far.
    """
    numbers = [row.number for row in rows]
    alone = [row for row in rows if row.number in ALONE]
    outcomes = {each.row: each for each in play(alone, seed, scale, on_row)}
    spawning = multiprocessing.get_context("spawn")
    to_play: Queue[str] = spawning.Queue()
    played: Queue[Outcome] = spawning.Queue()
    beside = [number for number in numbers if number not in ALONE]
    for number in sorted(beside, key=lambda number: LONG_ROWS.index(number) if number in LONG_ROWS else 99):
        to_play.put(number)
    lanes = [spawning.Process(target=_lane, args=(to_play, played, seed, scale)) for _ in range(NUM_LANES)]
    for lane in lanes:
        lane.start()
    while len(outcomes) < len(numbers):
        try:
            outcome = played.get(timeout=LOOK_S)
        except queue.Empty:
            if any(lane.is_alive() for lane in lanes):
                continue
            break
        outcomes[outcome.row] = outcome
        on_row(_in_order(outcomes, numbers))
    for lane in lanes:
        lane.join()
    for row in rows:
        if row.number not in outcomes:
            outcomes[row.number] = Outcome(row.number, row.fault, violations=["its lane ended before it was played"])
    return _in_order(outcomes, numbers)


def _lane(to_play: Queue[str], played: Queue[Outcome], seed: str, scale: Scale) -> None:
    while True:
        try:
            number = to_play.get(timeout=LOOK_S)
        except queue.Empty:
            return
        for outcome in play(matrix.chosen(number), seed, scale, lambda _: None):
            played.put(outcome)


def _in_order(outcomes: dict[str, Outcome], numbers: Sequence[str]) -> list[Outcome]:
    return [outcomes[number] for number in numbers if number in outcomes]
