"""What is different inside a worker process of a chaos run: its engine, its clock, and where it crashes.

Put in from outside before the worker starts; the product has no such hooks. A name that is gone makes the process end
at once, so that no row passes without its fault.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.chaos.orders import Orders


def install() -> None:
    """Carry out this process's orders."""
    orders = Orders.from_environment(os.environ)
    if orders.clock_skew_s:  # first: others take `time.time` as a name of their own when they are imported
        real = time.time
        time.time = lambda: real() + orders.clock_skew_s
    _replace_engine(orders)
    if orders.crash_at:
        _arm(orders)


def _replace_engine(orders: Orders) -> None:
    from bench.chaos.engine import FaultEngine
    from producer.storage import ObjectStore
    from worker import process

    if not callable(process.build_engine):
        raise TypeError("worker.process.build_engine is no function")
    engine = FaultEngine(orders)
    process.build_engine = lambda name, settings: engine
    put = ObjectStore.put

    def noting_put(store: Any, key: str, *arguments: Any, **named: Any) -> None:
        put(store, key, *arguments, **named)
        engine.note_stored(key)

    # Beneath the crash points: a crash after the PUT comes when it is noted.
    ObjectStore.put = noting_put


def _arm(orders: Orders) -> None:
    """Put crashes at the chosen points: of each point, the passes that the orders name, once in the whole fleet."""
    from bench.chaos.engine import FaultEngine
    from producer.ledger import Ledger
    from producer.storage import MultipartUpload, ObjectStore
    from worker.codec import SegmentCodec
    from worker.narration.attempt import Attempts

    places: dict[str, tuple[type, str, bool]] = {
        # point: class, method, whether the crash comes before it and not after
        "claim.before": (Ledger, "claim", True),
        "claim.after": (Ledger, "claim", False),
        "synthesis.middle": (FaultEngine, "_begun", False),
        "encode.after": (SegmentCodec, "encode", False),
        "put.before": (ObjectStore, "put", True),
        "put.after": (ObjectStore, "put", False),
        "complete.before": (Ledger, "complete", True),
        "complete.after": (Ledger, "complete", False),
        "ack.before": (Attempts, "run", False),
        "planned.after": (Ledger, "planned", False),
        "part.after": (MultipartUpload, "_send_part", False),
        "audio.after": (MultipartUpload, "close", False),
        "commit.before": (Ledger, "commit", True),
        "commit.after": (Ledger, "commit", False),
        "reconcile.after": (Ledger, "reconcile_many", False),
    }
    for point, passes in orders.crash_at.items():
        owner, method, is_before = places[point]
        setattr(owner, method, _crashing(getattr(owner, method), point, passes, orders.folder, is_before=is_before))


def _crashing(
    method: Callable[..., Any], point: str, passes: list[int], folder: Path, *, is_before: bool
) -> Callable[..., Any]:
    num_passed = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal num_passed
        num_passed += 1
        if is_before:
            crash()
        result = method(*arguments, **named)
        if not is_before:
            crash()
        return result

    def crash() -> None:
        for number in passes:
            if num_passed < number:
                continue
            try:
                (folder / f"crashed-{point}-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)

    return wrapped
