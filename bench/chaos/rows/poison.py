"""Segments that kill, hang or break whoever speaks them: row 8."""

from __future__ import annotations

from collections.abc import Sequence

from bench.chaos.engine import KILLERS, POISONS
from bench.chaos.executions import read_executions
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import State
from worker.engine.fingerprint import tone_hash

#: Deaths of a process that one segment may cause, and its tries in all.
MAX_KILLS = 2
MAX_TRIES = 4


@row("8", "segments that kill the process: SIGKILL, SIGSEGV, exit, hang")
def killers(scene: Scene) -> None:
    """Each is given up after two processes, and everything around it is spoken."""
    _play(scene, sorted(KILLERS)[: scene.scale.of(4, 2)], max_runs=MAX_KILLS)


@row("8s", "segments that raise MemoryError, SystemExit, KeyboardInterrupt, endless recursion")
def raisers(scene: Scene) -> None:
    """Each is given up after four tries, and no process ends for it."""
    _play(scene, sorted(set(POISONS) - KILLERS), max_runs=MAX_TRIES)
    scene.expect(scene.fleet.count_in_logs("process_ended") == 0, "a process ended because of an exception")


def _play(scene: Scene, poisons: Sequence[str], *, max_runs: int) -> None:
    # Long enough that no lease runs out because a busy machine gives the heartbeat no turn: that would count as an end.
    impatient = {"CHATTERQUEUE_LEASE_S": "6", "CHATTERQUEUE_LOST_AFTER_S": "3", "CHATTERQUEUE_STALLED_AFTER_S": "4"}
    scene.start_workers(scene.scale.of(2, 1), 0.02, environment=impatient)
    book = scene.book(scene.scale.of(200, 12), poisons=poisons)
    narration_id = scene.submit(book)
    scene.outcome.num_faults = len(poisons)
    scene.wait_for_all(scene.scale.of(300, 120))
    status = scene.expect_state(narration_id, State.PARTIAL)
    scene.expect(status.num_failed == len(poisons), f"{status.num_failed} segments failed, {len(poisons)} are poison")
    done = read_executions(scene.folder / "executions", scene.fleet.killed_s)
    for poison in poisons:
        (paragraph,) = (text for text in book.paragraphs if poison in text)
        num_runs = done.begun[tone_hash(paragraph)]
        scene.outcome.figures[poison] = num_runs
        scene.expect(0 < num_runs <= max_runs, f"P5 {poison} was run {num_runs} times")
