"""A network between workers, producers and Redis that stands still, resets, slows and loses replies: rows 20 to 22r."""

from __future__ import annotations

import time

from bench.chaos.rows import row
from bench.chaos.scene import Scene
from bench.chaos.tcpproxy import TcpProxy
from producer import QueueUnavailableError, State

#: Seconds after which a producer must have named what is wrong.
NAMED_S = 5.0


@row("20", "a partition between everybody and Redis: nothing gets through, nothing is closed")
def partition(scene: Scene) -> None:
    """A producer is told within five seconds; workers go on when it ends, and no result counts twice."""
    with TcpProxy(scene.servers.redis_port, scene.seed) as proxy, scene.client_through(redis_port=proxy.port) as client:
        scene.start_workers(scene.scale.of(2, 1), 0.1, ports={"redis_port": proxy.port})
        book = scene.submit(scene.book(scene.scale.of(600, 40)), client=client)
        for length_s in scene.scale.of((5, 20, 40), (4,)):
            scene.wait_for_done(book, min(scene.status(book).num_done + 5, len(scene.acknowledged[book].paragraphs)))
            scene.expect(not scene.are_over(), "the book ended before the partition")
            proxy.add("timeout", timeout=0)
            scene.outcome.num_faults += 1
            begun_s = time.monotonic()
            try:
                client.submit(scene.book(1, f"cut off {length_s}").narration())
                scene.expect(is_so=False, what="a submit was acknowledged through a partition")
            except QueueUnavailableError:
                pass
            named_s = time.monotonic() - begun_s
            scene.expect_within(named_s, NAMED_S, "telling a producer")
            time.sleep(max(0.0, length_s - named_s))
            proxy.remove("timeout")
            _wait_until_it_goes_on(scene, book)
        scene.wait_for_all(180)
        scene.expect_state(book, State.SUCCEEDED)


def _wait_until_it_goes_on(scene: Scene, narration_id: str) -> None:
    begun_s = time.monotonic()
    num_done = scene.status(narration_id).num_done
    scene.wait_for(
        lambda: scene.are_over() or scene.status(narration_id).num_done > num_done, "work goes on after it", 90
    )
    scene.recoveries.append(time.monotonic() - begun_s)


@row("21", "resets, slices, 200 ms latency, 1 Mbit/s between workers and Redis")
def bad_line(scene: Scene) -> None:
    """Slow is slow, and nothing else."""
    with TcpProxy(scene.servers.redis_port, scene.seed) as proxy:
        scene.start_worker(0.05, ports={"redis_port": proxy.port})
        for name, toxic in (
            ("slicer", {"average_size": 64, "delay": 100}),
            ("latency", {"latency": 200, "jitter": 50}),
            ("bandwidth", {"rate": 125}),
            ("reset_peer", {"timeout": 700}),
        ):
            begun_s = time.monotonic()
            proxy.add(name, **toxic)
            scene.outcome.num_faults += 1
            book = scene.submit(scene.book(scene.scale.of(30, 6), name))
            if name == "reset_peer":
                time.sleep(scene.scale.of(15.0, 4.0))
                proxy.remove(name)
            scene.wait_for_all(180)
            proxy.remove(name)
            status = scene.expect_state(book, State.SUCCEEDED)
            scene.outcome.figures[f"{name}_s"] = round(time.monotonic() - begun_s, 1)
            scene.outcome.figures[f"{name}_attempts"] = status.num_attempts
        scene.outcome.figures["connections"] = proxy.num_connections


@row("22r", "replies of Redis lost after the script has run")
def lost_replies(scene: Scene) -> None:
    """A script is run again with the same token, and answers as it did."""
    with TcpProxy(scene.servers.redis_port, scene.seed) as proxy:
        # Each lost reply is waited for in vain; with many threads side by side these waits do not add up to minutes.
        many = {"CHATTERQUEUE_CONCURRENCY": "16"}
        scene.start_workers(scene.scale.of(2, 1), 0.01, ports={"redis_port": proxy.port}, environment=many)
        proxy.add("lose_reply", pattern=b"EVALSHA", probability=0.3, count=scene.scale.of(500, 20))
        book = scene.submit(scene.book(scene.scale.of(600, 40)))
        scene.wait_for_all(300)
        more = 0
        while proxy.num_lost_replies < scene.scale.of(500, 20) and more < 10:
            more += 1
            scene.submit(scene.book(scene.scale.of(200, 20), f"more {more}"))
            scene.wait_for_all(120)
        scene.outcome.num_faults = proxy.num_lost_replies
        scene.expect(proxy.num_lost_replies >= scene.scale.of(500, 20), f"only {proxy.num_lost_replies} were lost")
        for narration_id in scene.acknowledged:
            scene.expect_state(narration_id, State.SUCCEEDED)
        scene.expect(scene.status(book).num_failed == 0, "segments failed")


@row("22p", "replies to a producer's submit lost after the record was made")
def lost_acknowledgements(scene: Scene) -> None:
    """Nobody knows then; with a key the same is handed in again and there is one narration."""
    scene.start_worker(0.01)
    with TcpProxy(scene.servers.redis_port, scene.seed) as proxy, scene.client_through(redis_port=proxy.port) as client:
        for number in range(scene.scale.of(40, 5)):
            book = scene.book(1, f"submit {number}")
            key = f"{scene.seed} {number}"
            lost_before = proxy.num_lost_replies
            proxy.add("lose_reply", pattern=b"EVAL", probability=0.6, count=10_000)
            ids = set()
            for attempt in range(20):
                if attempt == 10:
                    proxy.remove("lose_reply")
                try:
                    ids.add(scene.submit(book, client=client, idempotency_key=key))
                    break
                except QueueUnavailableError:
                    continue
            scene.outcome.num_faults += proxy.num_lost_replies - lost_before
            scene.expect(len(ids) == 1, f"submit {number} was never acknowledged")
        proxy.remove("lose_reply")
        scene.wait_for_all(60)
    num_known = len(scene.client.list(limit=1_000))
    scene.expect(num_known == len(scene.acknowledged), f"{num_known} records of {len(scene.acknowledged)} narrations")
