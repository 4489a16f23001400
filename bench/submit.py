"""How fast narrations are handed in and looked up, from one process: `python -m bench.submit`.

Real Valkey and S3 server, no worker. Each narration is a page of 1,500 characters, so a set is some packs in S3.
The peer is the same messages sent by Celery alone, one `apply_async` each, with no record and no text stored.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from bench.farm import farm
from bench.record import write_result
from producer import Narration, Settings
from producer.contract.keys import new_id
from producer.contract.routing import PLAN_QUEUE, PLAN_TASK
from producer.messages import producer_app

Result = TypeVar("Result")

NUM_NARRATIONS = 10_000
NUM_KEYED = 1_000
NUM_SINGLE = 200
NUM_BARE = 1_000
REPEATS = 5
PAGE = "The lamp was lit before the rain began, and nobody in the house remarked on it. " * 19


def main() -> None:
    """Measure, print and record."""
    with farm(0, {}) as client:
        client.submit(Narration(text="So that every connection is there."))
        narrations = [Narration(text=f"Page {number}. {PAGE}") for number in range(NUM_NARRATIONS)]
        many_s, batch = timed(lambda: client.submit_many(narrations))
        keyed = [Narration(text="One.", idempotency_key=f"key-{number}") for number in range(NUM_KEYED)]
        keyed_s, _ = timed(lambda: client.submit_many(keyed))
        again_s, _ = timed(lambda: client.submit_many(keyed))
        single_s, _ = timed(lambda: [client.submit(each) for each in narrations[:NUM_SINGLE]])
        status_s = [timed(lambda: client.statuses(batch.ids))[0] for _ in range(REPEATS)]
        peer_s, _ = timed(_send_bare_messages)
    result = {
        "command": "python -m bench.submit",
        "num_narrations": NUM_NARRATIONS,
        "chars_each": len(narrations[0].text),
        "submit_many_per_s": NUM_NARRATIONS / many_s,
        "submit_many_with_keys_per_s": NUM_KEYED / keyed_s,
        "submit_many_again_per_s": NUM_KEYED / again_s,
        "submit_one_by_one_per_s": NUM_SINGLE / single_s,
        "status_of_10000_s": statistics.median(status_s),
        "status_of_10000_worst_s": max(status_s),
        "bare_celery_per_s": NUM_BARE / peer_s,
    }
    path = write_result("submit", result)
    sys.stdout.write(
        f"submit_many {result['submit_many_per_s']:.0f}/s ({result['submit_many_with_keys_per_s']:.0f}/s with keys, "
        f"{result['submit_many_again_per_s']:.0f}/s when known), one by one {result['submit_one_by_one_per_s']:.0f}/s, "
        f"bare Celery {result['bare_celery_per_s']:.0f}/s; "
        f"status of {NUM_NARRATIONS}: {result['status_of_10000_s']:.2f} s. {path}\n"
    )


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds that a call took, and its result."""
    begun_s = time.perf_counter()
    result = call()
    return time.perf_counter() - begun_s, result


def _send_bare_messages() -> None:
    settings = Settings.load()
    app = producer_app(settings.model_copy(update={"redis_prefix": "bare:"}))
    for _ in range(NUM_BARE):
        app.send_task(PLAN_TASK, kwargs={"narration_id": new_id()}, queue=PLAN_QUEUE, ignore_result=True, retry=False)


if __name__ == "__main__":
    main()
