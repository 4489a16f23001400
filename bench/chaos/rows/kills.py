"""Workers that are killed, frozen, told to stop: rows 1, 2, 4, 5, 13."""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench.chaos.fleet import Worker
from bench.chaos.recovery import percentile
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import State

#: Seconds that a worker may take work before it is killed, at most. Enough for all that a worker does, the reconciler's
#: first look after two seconds too; more life would only make the row longer.
LONGEST_LIFE_S = 4.0


def _kill_while_running(
    scene: Scene,
    narration_id: str,
    num_kills: int,
    *,
    segment_s: float,
    environment: Mapping[str, str],
    is_whole: bool = True,
) -> None:
    """Kill one of the workers at random as soon as it has worked for a while, until the narration ends or all is done.

    A worker is killed only once it takes work, because one that is killed while it starts holds nothing.
    """
    spared_until: dict[Worker, float] = {}
    while scene.outcome.num_faults < num_kills and not scene.status(narration_id).state.is_terminal:
        now_s = time.monotonic()
        for worker in list(scene.fleet.workers):
            if not worker.is_ready():
                continue
            due_s = spared_until.setdefault(worker, now_s + scene.random.uniform(0.3, LONGEST_LIFE_S))
            if now_s < due_s:
                continue
            spared_until.pop(worker)
            if is_whole:
                scene.fleet.kill(worker)
                scene.start_worker(segment_s, environment=environment, is_awaited=False)
            elif not scene.fleet.kill_process(worker):
                continue
            scene.outcome.num_faults += 1
        time.sleep(0.05)


@row("1", "kill -9 of worker processes, the supervisor starts others")
def kill_processes(scene: Scene) -> None:
    """A supervisor waits twice as long after each death within a minute, so there are few kills here."""
    num_segments, num_kills = scene.scale.of((300, 10), (60, 2))
    _kill_and_finish(scene, num_segments, num_kills, scene.expect_kills(), is_whole=False)


@row("2", "kill -9 of supervisor and processes together")
def kill_machines(scene: Scene) -> None:
    """The figure of the table: two workers, 200 kills while 1,000 segments are spoken."""
    num_segments, num_kills = scene.scale.of((1_000, 200), (60, 6))
    _kill_and_finish(scene, num_segments, num_kills, scene.expect_kills())
    scene.expect(scene.outcome.num_faults >= num_kills, f"it ended after {scene.outcome.num_faults} kills")


@row("2d", "the same with the limits that are the default: two deaths make a segment suspect for good")
def kill_machines_by_default(scene: Scene) -> None:
    """Says how many innocent segments are condemned where processes are killed as a matter of course."""
    num_segments, num_kills = scene.scale.of((150, 30), (40, 4))
    scene.are_gaps_allowed = True
    _kill_and_finish(scene, num_segments, num_kills, {}, ends=(State.SUCCEEDED, State.PARTIAL))


def _kill_and_finish(
    scene: Scene,
    num_segments: int,
    num_kills: int,
    environment: Mapping[str, str],
    *,
    is_whole: bool = True,
    ends: tuple[State, ...] = (State.SUCCEEDED,),
) -> None:
    segment_s = scene.scale.of(0.35, 0.15)
    scene.start_workers(2, segment_s, environment=environment)
    book = scene.submit(scene.book(num_segments))
    _kill_while_running(scene, book, num_kills, segment_s=segment_s, environment=environment, is_whole=is_whole)
    scene.wait_for_all(scene.scale.of(900, 120))
    scene.expect_state(book, *ends)


@row("4", "an idle worker is frozen, given work, then killed")
def freeze_idle(scene: Scene) -> None:
    """A frozen worker's connection takes the next message and nobody will ever see it."""
    for number in range(scene.scale.of(3, 1)):
        worker = scene.start_worker()
        time.sleep(1.5)  # until it waits in BRPOP
        scene.fleet.freeze(worker)
        narration_id = scene.submit(scene.book(3, f"book {number}"))
        time.sleep(scene.scale.of(2.0, 1.0))
        scene.fleet.kill(worker)
        killed_s = time.monotonic()
        scene.outcome.num_faults += 1
        other = scene.start_worker()
        scene.wait_for_all(120)
        scene.recoveries.append(time.monotonic() - killed_s)
        scene.expect_state(narration_id, State.SUCCEEDED)
        scene.fleet.terminate(other)


@row("5", "zombies: frozen in work for longer than the lease, then thawed")
def zombies(scene: Scene) -> None:
    """What a zombie has made in the end is refused, for another was faster."""
    short_lease = {"CHATTERQUEUE_LEASE_S": "3"}
    for number in range(scene.scale.of(5, 1)):
        zombie = scene.start_worker(0.6, environment=short_lease)
        narration_id = scene.submit(scene.book(8, f"book {number}"))
        scene.wait_for_done(narration_id, 2)
        scene.fleet.freeze(zombie)
        scene.outcome.num_faults += 1
        other = scene.start_worker(0.05, environment=short_lease)
        held = _held_by_others(scene, narration_id)
        scene.wait_for(
            lambda held=held, narration_id=narration_id: (
                not held & _not_completed(scene, narration_id) or scene.status(narration_id).state.is_terminal
            ),
            "another did what the zombie held",
            60,
        )
        scene.fleet.thaw(zombie)
        scene.wait_for_all(60)
        scene.expect_state(narration_id, State.SUCCEEDED)
        time.sleep(2.0)  # until the zombie has tried
        scene.fleet.terminate(zombie)
        scene.fleet.terminate(other)
    num_refused = scene.fleet.count_in_logs("outcome_refused") + scene.fleet.count_in_logs("lease_lost")
    scene.outcome.figures["zombies_turned_away"] = num_refused
    scene.expect(num_refused >= scene.outcome.num_faults, f"only {num_refused} zombies were turned away")


def _held_by_others(scene: Scene, narration_id: str) -> set[str]:
    keys = scene.redis.zrange(f"{scene.settings.redis_prefix}narration:{narration_id}:leases", 0, -1)
    return {key.decode() for key in keys}


def _not_completed(scene: Scene, narration_id: str) -> set[str]:
    log = scene.ledger.log(narration_id)
    done = {entry["item"] for entry in log if entry["event"] == "completed"}
    return {entry["item"] for entry in log if entry["event"] == "claimed"} - done


@row("13", "SIGTERM storm")
def storm(scene: Scene) -> None:
    """Every drain gives its work back: no attempt is counted that was not needed."""
    num_segments, num_drains = scene.scale.of((900, 50), (40, 3))
    segment_s = 0.2
    scene.start_workers(2, segment_s)
    book = scene.submit(scene.book(num_segments))
    scene.wait_for_done(book, 1)
    drains_s = []
    while len(drains_s) < num_drains and not scene.are_over():
        worker = scene.random.choice([worker for worker in scene.fleet.workers if worker.is_ready()] or [None])
        if worker is None:
            time.sleep(0.05)
            continue
        time.sleep(scene.random.uniform(0.0, 0.5))
        drains_s.append(scene.fleet.terminate(worker))
        scene.outcome.num_faults += 1
        scene.start_worker(segment_s, is_awaited=False)
    scene.wait_for_all(300)
    status = scene.expect_state(book, State.SUCCEEDED)
    scene.outcome.figures["drain_p99_s"] = round(percentile(drains_s, 99) or 0.0, 2)
    scene.outcome.figures["attempts_beyond_one"] = beyond = status.num_attempts - num_segments
    scene.expect(len(drains_s) == num_drains, f"it ended after {len(drains_s)} drains")
    scene.expect(beyond == 0, f"P6 {beyond} attempts were not refunded")
    if scene.scale.is_full:
        scene.expect_within(percentile(drains_s, 99) or 0.0, 5 + segment_s, "P6 a drain")
