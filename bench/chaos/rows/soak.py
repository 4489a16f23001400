"""Several faults at once, from one seed, upon one book: row 35; its short form is what `make test` runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import redis

from bench.chaos.executions import read_executions
from bench.chaos.httpproxy import Fault, HttpProxy
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from bench.chaos.tcpproxy import TcpProxy
from producer import State

#: Share of the segments that may have been spoken for nothing.
MAX_WASTED_PERCENT = 50


@row("35", "soak: kills, a freeze, Redis restarts, lost replies and S3 503 at random", needs_own_servers=True)
def soak(scene: Scene) -> None:
    """Each fault at least once; the order and the moments are the seed's."""
    with (
        TcpProxy(scene.servers.redis_port, scene.seed) as redis_proxy,
        HttpProxy(scene.servers.s3_port) as s3_proxy,
    ):
        ports = {"redis_port": redis_proxy.port, "s3_port": s3_proxy.port}
        segment_s = scene.scale.of(0.15, 0.05)
        environment = scene.expect_kills()
        scene.start_workers(2, segment_s, ports=ports, environment=environment)
        redis_proxy.add("lose_reply", pattern=b"EVALSHA", probability=0.05, count=scene.scale.of(200, 20))
        s3_proxy.plan = lambda method, path, number: Fault("status") if scene.random.random() < 0.1 else None
        book = scene.submit(scene.book(scene.scale.of(500, 40)))

        def replace_one(end: Callable[..., None]) -> None:
            worker = scene.random.choice(scene.fleet.workers)
            end(worker)
            scene.start_worker(segment_s, ports=ports, environment=environment, is_awaited=False)

        def freeze_and_kill() -> None:
            def end(worker: object) -> None:
                scene.fleet.freeze(worker)  # type: ignore[arg-type]
                time.sleep(1.0)
                scene.fleet.kill(worker)  # type: ignore[arg-type]

            replace_one(end)

        def restart_redis() -> None:
            scene.servers.kill_redis()
            scene.servers.start_redis()
            scene.wait_for(lambda: _answers(scene), "Redis answers", 30)

        faults = [lambda: replace_one(scene.fleet.kill), freeze_and_kill, restart_redis]
        scene.random.shuffle(faults)
        faults += [scene.random.choice(faults) for _ in range(scene.scale.of(15, 0))]
        for fault in faults:
            # Work goes on between two faults, else many of them would hit workers that are still starting.
            num_done = scene.status(book).num_done
            scene.wait_for(
                lambda num_done=num_done: scene.are_over() or scene.status(book).num_done >= num_done + 2,
                lambda: f"work goes on: {scene.status(book)}",
                90,
            )
            time.sleep(scene.random.uniform(0.0, 0.3))
            fault()
            scene.outcome.num_faults += 1
        scene.wait_for_all(scene.scale.of(600, 90))
        scene.outcome.figures.update(
            lost_replies=redis_proxy.num_lost_replies, s3_refusals=s3_proxy.faults["status"], direct=len(faults)
        )
        scene.outcome.num_faults += redis_proxy.num_lost_replies + s3_proxy.faults["status"]
        scene.expect_state(book, State.SUCCEEDED)
    wasted = read_executions(scene.folder / "executions", scene.fleet.killed_s).wasted_percent
    scene.expect(wasted <= MAX_WASTED_PERCENT, f"{wasted:.0f} % of the synthesis was for nothing")


def _answers(scene: Scene) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(scene.redis.ping())
    return False
