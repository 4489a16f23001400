"""What lies in the queue beside one's own work: a book of 20,000 segments, rubbish, and clocks: rows 29, 34, 37."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from bench.chaos.rows import row
from bench.chaos.scene import Scene
from producer import State
from producer.contract.routing import ALL_QUEUES, PLAN_QUEUE
from producer.messages import queue_list


@row("34", "ten segments behind a book of 20,000")
def fair_share(scene: Scene) -> None:
    """The short text starts within 10 s and takes no more than three times what it takes alone."""
    scene.start_workers(scene.scale.of(2, 1), 0.1)
    alone_s = _time_of(scene, scene.submit(scene.book(10, "alone")))
    long = scene.submit(scene.book(scene.scale.of(20_000, 1_000), "long"), format="mp3")
    scene.wait_for_done(long, 5, 240)
    scene.outcome.num_faults = 1
    begun_s = time.monotonic()
    short = scene.submit(scene.book(10, "behind it"))
    scene.wait_for(lambda: scene.status(short).num_attempts > 0, "the short text has begun", 120)
    started_s = time.monotonic() - begun_s
    behind_s = _time_of(scene, short)
    scene.client.cancel(long)
    scene.wait_for_all(60)
    scene.expect_state(short, State.SUCCEEDED)
    scene.outcome.figures.update(
        alone_s=round(alone_s, 2), behind_s=round(behind_s, 2), started_after_s=round(started_s, 2)
    )
    scene.expect_within(started_s, 10.0, "the first segment of the short text")
    scene.expect_within(behind_s, 3 * alone_s, f"the short text, which takes {alone_s:.1f} s alone,")


def _time_of(scene: Scene, narration_id: str) -> float:
    scene.wait_for(lambda: scene.status(narration_id).state.is_terminal, "the short text has ended", 240)
    status = scene.status(narration_id)
    assert status.finished_at is not None
    return (status.finished_at - status.created_at).total_seconds()


def _message(task: str = "narration.plan", *, body: str | None = None, **headers: Any) -> bytes:
    """Return a message as Celery writes it, with what is wrong in it."""
    good = base64.b64encode(json.dumps([[], {"narration_id": "a" * 26}, {}]).encode()).decode()
    return json.dumps(
        {
            "body": good if body is None else body,
            "content-encoding": "utf-8",
            "content-type": headers.pop("content_type", "application/json"),
            "headers": {"task": task, "id": "x", "lang": "py", "sent_ms": 1, "ignore_result": True, **headers},
            "properties": {
                "correlation_id": "x",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": PLAN_QUEUE},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "t",
            },
        }
    ).encode()


def _encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


#: Messages of docs/reliability.md's corpus, made by hand.
HOSTILE: dict[str, bytes] = {
    "not JSON": b"hello",
    "empty": b"",
    "a number": b"42",
    "an empty object": b"{}",
    "cut short": _message()[:40],
    "invalid UTF-8": b"\xff\xfe{",
    "a body that is not base64": _message(body="%%%%"),
    "an empty list for a body": _message(body=_encoded([])),
    "a pickle": _message(content_type="application/x-python-serialize"),
    "an unknown task": _message("os.system"),
    "extra arguments": _message(body=_encoded([["x", "y", "z"], {"narration_id": "a" * 26, "evil": 1}, {}])),
    "no headers": json.dumps({"body": "", "properties": {}}).encode(),
    "a garbage eta": _message(eta="soon"),
    "expired": _message(expires="2001-01-01T00:00:00"),
    "retries that are no number": _message(retries="x"),
    "time limits": _message(timelimit=[0.001, 0.001]),
    "deep nesting": _message(body=base64.b64encode(b"[" * 100_000).decode()),
    "an unknown narration": _message(),
    "a chain to another task": _message(
        body=_encoded([[], {"narration_id": "a" * 26}, {"chain": [{"task": "os.system", "args": ["true"]}]}])
    ),
}


@row("37", "hostile messages in the queues while a book is spoken")
def hostile_queue(scene: Scene) -> None:
    """Each is put aside; no process ends for it and the book is whole."""
    worker = scene.start_worker(0.05)
    book = scene.submit(scene.book(scene.scale.of(100, 30)))
    scene.wait_for_done(book, 2)
    for name, message in HOSTILE.items():
        num_deaths = scene.fleet.count_in_logs("process_ended")
        queue = scene.random.choice(ALL_QUEUES)
        scene.redis.lpush(queue_list(scene.settings, queue), message)
        scene.outcome.num_faults += 1
        time.sleep(scene.scale.of(1.0, 0.3))
        if scene.fleet.count_in_logs("process_ended") > num_deaths:
            scene.expect(is_so=False, what=f"a process ended because of: {name}")
            scene.wait_for(worker.is_ready, f"the worker comes back after: {name}", 60)
    scene.wait_for_all(120)
    scene.expect_state(book, State.SUCCEEDED)
    scene.outcome.figures["restarts"] = scene.fleet.count_in_logs("process_ended")


@row("29", "clocks of workers an hour ahead and a day behind")
def skewed_clocks(scene: Scene) -> None:
    """Leases go by Redis's clock; what kombu keeps by the worker's is renewed and, at worst, delivered twice."""
    for skew_s in (0.0, 3_600.0, -86_400.0):
        scene.start_worker(0.1, clock_skew_s=skew_s)
    scene.outcome.num_faults = 2
    book = scene.submit(scene.book(scene.scale.of(300, 40)))
    scene.wait_for_done(book, 10)
    scene.fleet.kill(scene.fleet.workers[1])
    scene.wait_for_all(180)
    status = scene.expect_state(book, State.SUCCEEDED)
    scene.outcome.figures["attempts"] = status.num_attempts
