"""Redis that dies, forgets, is full or has other people's hands in it: rows 15, 16, 18, 23."""

from __future__ import annotations

import contextlib
import time

import redis

from bench.chaos.executions import read_executions
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import QueueUnavailableError, State


@row("15", "kill -9 of Redis and restart, append-only file every second", needs_own_servers=True)
def restart(scene: Scene) -> None:
    """What was acknowledged is in the file: a killed process loses nothing that it had written."""
    num_segments, num_kills = scene.scale.of((1_200, 25), (40, 2))
    scene.start_workers(scene.scale.of(2, 1), 0.1)
    book = scene.submit(scene.book(num_segments))
    away_s = []
    while scene.outcome.num_faults < num_kills and not scene.are_over():
        time.sleep(scene.random.uniform(0.2, 1.5))
        begun_s = time.monotonic()
        scene.servers.kill_redis()
        time.sleep(scene.random.uniform(0.0, 0.5))
        scene.servers.start_redis()
        scene.wait_for(lambda: _answers(scene), "Redis answers", 30)
        scene.outcome.num_faults += 1
        away_s.append(time.monotonic() - begun_s)
        # A submit right after the restart is acknowledged and kept like any other.
        scene.submit(scene.book(1, f"after {scene.outcome.num_faults}"))
        num_done = scene.status(book).num_done
        if not scene.status(book).state.is_terminal:
            scene.wait_for(
                lambda num_done=num_done: (
                    scene.status(book).num_done > num_done or scene.status(book).state.is_terminal
                ),
                "work goes on",
                60,
            )
            scene.recoveries.append(time.monotonic() - begun_s)
    scene.wait_for_all(180)
    scene.expect_state(book, State.SUCCEEDED)
    scene.expect(len(away_s) == num_kills, f"it ended after {len(away_s)} kills")
    scene.outcome.figures["away_max_s"] = round(max(away_s, default=0.0), 2)


def _answers(scene: Scene) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(scene.redis.ping())
    return False


@row("16a", "the last of Redis's append-only file is lost in mid-book, as by a loss of power", needs_own_servers=True)
def cut_tail(scene: Scene) -> None:
    """Redis comes back as it was some time ago: tokens, completions and a narration that it has never heard of."""
    scene.start_workers(scene.scale.of(2, 1), 0.1)
    book = scene.submit(scene.book(scene.scale.of(120, 30)))
    for number in range(scene.scale.of(5, 1)):
        scene.wait_for_done(book, 5 + 10 * number)
        late = scene.submit(scene.book(2, f"submitted just before {number}"))
        scene.servers.kill_redis()
        scene.is_log_whole = False
        cut = scene.servers.cut_append_only_file(scene.random.randrange(4_000, 24_000))
        scene.servers.start_redis()
        scene.wait_for(lambda: _answers(scene), "Redis answers", 30)
        scene.outcome.num_faults += 1
        scene.outcome.figures[f"bytes_cut_{number}"] = cut
        scene.outcome.figures[f"forgot_submit_{number}"] = scene.ledger.read([late])[0] is None
    scene.wait_for_all(120)
    scene.expect_state(book, State.SUCCEEDED)


@row("16b", "FLUSHALL in mid-book: everything is built again from S3", needs_own_servers=True)
def flush_all(scene: Scene) -> None:
    """The book finishes, and no finished segment is synthesized again."""
    scene.start_workers(scene.scale.of(2, 1), 0.1)
    num_segments = scene.scale.of(100, 30)
    book = scene.submit(scene.book(num_segments))
    other = scene.submit(scene.book(5, "still queued"), priority="low")
    scene.wait_for_done(book, num_segments // 2)
    scene.redis.flushall()
    scene.is_log_whole = False
    begun_s = time.monotonic()
    scene.outcome.num_faults += 1
    scene.wait_for(lambda: None not in scene.ledger.read([book, other]), "both narrations are known again", 90)
    scene.recoveries.append(time.monotonic() - begun_s)
    scene.wait_for_all(120)
    scene.expect_state(book, State.SUCCEEDED)
    scene.expect_state(other, State.SUCCEEDED)
    # What was in work at that moment may be begun by another as well; what was stored may not.
    num_again = read_executions(scene.folder / "executions", scene.fleet.killed_s).again.total()
    scene.expect(num_again == 0, f"{num_again} finished segments were spoken again")


@row("18", "Redis is full", needs_own_servers=True)
def full(scene: Scene) -> None:
    """A submit is refused by name and leaves nothing; what runs waits and goes on."""
    scene.start_worker(0.1)
    book = scene.submit(scene.book(scene.scale.of(60, 20)))
    scene.wait_for_done(book, 5)
    used = int(scene.redis.info("memory")["used_memory"])
    scene.redis.config_set("maxmemory", max(1, used - 100_000))
    scene.outcome.num_faults += 1
    for number in range(3):
        try:
            scene.submit(scene.book(2, f"when full {number}"))
        except QueueUnavailableError as error:
            scene.expect("memory" in str(error), f"the refusal does not say why: {error}")
        else:
            scene.expect(is_so=False, what="a submit was acknowledged by a full Redis")
    time.sleep(scene.scale.of(20.0, 3.0))
    scene.redis.config_set("maxmemory", 0)
    begun_s = time.monotonic()
    num_done = scene.status(book).num_done
    scene.wait_for(lambda: scene.are_over() or scene.status(book).num_done > num_done, "work goes on", 90)
    scene.recoveries.append(time.monotonic() - begun_s)
    scene.wait_for_all(120)
    scene.expect_state(book, State.SUCCEEDED)


@row("23", "SCRIPT FLUSH in a loop")
def flush_scripts(scene: Scene) -> None:
    """A script that the server has forgotten is sent again; nobody notices."""
    scene.start_worker(0.02)
    book = scene.submit(scene.book(scene.scale.of(200, 40)))
    num_submits = 0
    while not scene.are_over():
        scene.redis.script_flush()
        scene.outcome.num_faults += 1
        if num_submits < 10:
            num_submits += 1
            scene.submit(scene.book(1, f"between flushes {num_submits}"))
        time.sleep(0.01)
        if scene.outcome.num_faults > 20_000:
            break
    scene.wait_for_all(60)
    status = scene.expect_state(book, State.SUCCEEDED)
    scene.expect(status.num_attempts == status.num_segments, f"attempts were burnt: {status.num_attempts}")
