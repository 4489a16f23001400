"""A producer in a process of its own that can be killed at a point of a submit: `python -m bench.chaos.submitter`.

Reads its orders from standard input as JSON and prints the ids on one line once the submit is acknowledged.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.chaos.fleet import ROOT
from producer import Client
from producer.ledger import Ledger
from producer.messages import Messenger
from producer.storage import ObjectStore

#: Point of a submit -> class and method after whose return it lies; with a batch, each may be passed several times.
POINTS: Mapping[str, tuple[type, str]] = {
    "put": (ObjectStore, "put"),
    "create": (Ledger, "create"),
    "send": (Messenger, "send_plan"),
}


def start(environment: Mapping[str, str], narrations: Sequence[Mapping[str, Any]], *, crash: str = "") -> Any:
    """Start a producer that hands in these narrations and, if told so, kills itself after `point:pass`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.chaos.submitter"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"narrations": narrations, "crash": crash}))
    process.stdin.close()
    return process


def ids_from(process: Any, timeout_s: float = 120.0) -> list[str]:
    """Wait for a producer's end; return the ids that were acknowledged, none if it was killed before."""
    with process:
        printed = process.stdout.read()
        process.wait(timeout_s)
    return printed.split()


def _crash_after(method: Callable[..., Any], number: int) -> Callable[..., Any]:
    num_passed = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal num_passed
        result = method(*arguments, **named)
        num_passed += 1
        if num_passed == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def main() -> None:
    """Carry out the orders."""
    orders = json.load(sys.stdin)
    if orders["crash"]:
        point, _, number = orders["crash"].partition(":")
        owner, name = POINTS[point]
        setattr(owner, name, _crash_after(getattr(owner, name), int(number)))
    with Client() as client:
        batch = client.submit_many(orders["narrations"])
        sys.stdout.write(" ".join(batch.ids) + "\n")


if __name__ == "__main__":
    main()
