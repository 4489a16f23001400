"""S3 that is overloaded, refuses, stalls and loses answers: rows 22s, 24, 25, 28."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.chaos.executions import read_executions
from bench.chaos.httpproxy import Fault, HttpProxy, Plan
from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import State


def _sometimes(scene: Scene, share: float, *faults: Fault, where: str = "/segments/") -> Plan:
    """Return a plan that spoils a share of the requests for such keys."""

    def plan(method: str, path: str, number: int) -> Fault | None:
        if where not in path or scene.random.random() >= share:
            return None
        return scene.random.choice(faults)

    return plan


def _speak_under(scene: Scene, plan: Callable[[HttpProxy], Plan], num_segments: int) -> HttpProxy:
    """Speak a book while S3 does what a plan says; nothing may be spoken twice for it."""
    with HttpProxy(scene.servers.s3_port) as proxy:
        scene.start_workers(scene.scale.of(2, 1), 0.05, ports={"s3_port": proxy.port})
        proxy.plan = plan(proxy)
        book = scene.submit(scene.book(num_segments))
        scene.wait_for_all(300)
        scene.outcome.num_faults = sum(proxy.faults.values())
        scene.outcome.figures.update(proxy.faults)
        scene.expect(scene.outcome.num_faults > 0, "no request was spoiled")
        scene.expect_state(book, State.SUCCEEDED)
    return proxy


def _expect_none_spoken_twice(scene: Scene) -> None:
    done = read_executions(scene.folder / "executions", scene.fleet.killed_s)
    scene.expect(done.num_doubled == 0, f"{done.num_doubled} segments were spoken again because S3 was away")


@row("24", "S3 answers 503 SlowDown, 500 and 429 to 30 % of the requests")
def overloaded(scene: Scene) -> None:
    """The finished take is kept and stored again; its synthesis is not repeated."""
    faults = (Fault("status", 503, "SlowDown"), Fault("status", 500, "InternalError"), Fault("status", 429, "TooMany"))
    _speak_under(scene, lambda _: _sometimes(scene, 0.3, *faults, where="/"), scene.scale.of(200, 20))
    _expect_none_spoken_twice(scene)


@row("25", "S3 stalls in the middle of bodies, resets after half of them and before the first byte")
def broken_off(scene: Scene) -> None:
    """Whoever waits gives up and asks again."""
    faults = (Fault("stall", stall_s=33.0), Fault("cut"), Fault("cut"), Fault("reset"), Fault("reset"))
    _speak_under(scene, lambda _: _sometimes(scene, 0.1, *faults), scene.scale.of(100, 20))
    _expect_none_spoken_twice(scene)


@row("22s", "answers of S3 lost after the PUT was carried out")
def lost_answers(scene: Scene) -> None:
    """The same bytes under the same key, once more."""
    most = scene.scale.of(250, 10)

    def plan(proxy: HttpProxy) -> Plan:
        spoil = _sometimes(scene, 0.5, Fault("lost"), where="/")
        return lambda method, path, number: (
            spoil(method, path, number) if method == "PUT" and proxy.faults["lost"] < most else None
        )

    _speak_under(scene, plan, scene.scale.of(400, 20))
    scene.expect(scene.outcome.num_faults >= most, f"only {scene.outcome.num_faults} answers were lost")
    _expect_none_spoken_twice(scene)


@row("28", "S3 refuses everything for a while: 403, then the bucket is missing")
def refused(scene: Scene) -> None:
    """It is no segment's fault: no attempt is burnt, and work goes on when it is mended."""
    with HttpProxy(scene.servers.s3_port) as proxy:
        scene.start_worker(0.1, ports={"s3_port": proxy.port})
        book = scene.submit(scene.book(scene.scale.of(80, 30)))
        for status, code in ((403, "AccessDenied"), (404, "NoSuchBucket")):
            scene.wait_for_done(book, scene.status(book).num_done + 3)
            proxy.plan = lambda method, path, number, status=status, code=code: Fault("status", status, code)
            time.sleep(scene.scale.of(15.0, 4.0))
            proxy.plan = None
            scene.outcome.num_faults += 1
            begun_s = time.monotonic()
            num_done = scene.status(book).num_done
            scene.wait_for(
                lambda num_done=num_done: scene.are_over() or scene.status(book).num_done > num_done,
                "work goes on",
                90,
            )
            scene.recoveries.append(time.monotonic() - begun_s)
        scene.wait_for_all(120)
        status_now = scene.expect_state(book, State.SUCCEEDED)
        burnt = status_now.num_attempts - (status_now.num_segments or 0)
        scene.outcome.figures["attempts_burnt"] = burnt
        scene.expect(burnt == 0, f"{burnt} attempts were burnt")
        _expect_none_spoken_twice(scene)


@row("S3", "kill -9 of the S3 server and restart", needs_own_servers=True)
def restart(scene: Scene) -> None:
    """What it had acknowledged is there again."""
    scene.start_worker(0.1)
    book = scene.submit(scene.book(scene.scale.of(120, 30)))
    for _ in range(scene.scale.of(5, 1)):
        scene.wait_for_done(book, scene.status(book).num_done + 3)
        scene.servers.kill_s3()
        time.sleep(scene.random.uniform(0.5, 3.0))
        scene.servers.start_s3()
        scene.outcome.num_faults += 1
    scene.wait_for_all(180)
    scene.expect_state(book, State.SUCCEEDED)
    _expect_none_spoken_twice(scene)
