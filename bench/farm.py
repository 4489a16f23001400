"""A farm for a benchmark: the embedded stack in a temporary folder and some worker processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from producer import Client
from producer.connection import connect_redis
from producer.contract.settings import Settings
from producer.contract.status import NarrationStatus
from producer.stack import EmbeddedStack
from producer.workers import live_workers

#: Seconds for all workers to report. The draft voice loads in one; Chatterbox on a crowded machine takes minutes.
READY_S = 300.0


@contextmanager
def farm(num_workers: int, environment: Mapping[str, str]) -> Iterator[Client]:
    """Run a stack with workers that are ready, each a process of its own; everything is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder)) as stack:
        os.environ.update(stack.environment())
        for index in range(num_workers):
            beat = {"CHATTERQUEUE_HEARTBEAT_DIR": f"{folder}/heartbeat-{index}"}
            stack.start_worker(environment={**environment, **beat})
        _wait_until_ready(stack, num_workers)
        yield Client()


@contextmanager
def gpu_farm(gpus: Sequence[str], environment: Mapping[str, str], *, folder: Path) -> Iterator[Client]:
    """Run a stack with one supervisor, as `chatterqueue worker --gpus ...` does: a process for each GPU.

    Args:
        gpus: as CUDA numbers them.
        environment: of the workers, on top of the stack's.
        folder: where all of it lies; left as it is afterwards, logs included.
    """
    with EmbeddedStack(folder) as stack:
        os.environ.update(stack.environment())
        beat = {"CHATTERQUEUE_HEARTBEAT_DIR": str(folder / "heartbeat")}
        stack.start_worker("all", "--gpus", ",".join(gpus), environment={**environment, **beat})
        _wait_until_ready(stack, len(gpus))
        with Client() as client:
            yield client


def _wait_until_ready(stack: EmbeddedStack, num_workers: int) -> None:
    """Wait for so many workers that speak; others may be beside them."""
    settings = Settings.load()
    deadline_s = time.monotonic() + READY_S
    with connect_redis(settings) as redis:
        while True:
            if sum(worker.engine is not None for worker in live_workers(redis, settings)) >= num_workers:
                return
            stack.check()
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{num_workers} workers were not ready within {READY_S:g} s")
            time.sleep(0.1)


def wait_for_all(client: Client, ids: Sequence[str], *, timeout_s: float) -> list[NarrationStatus]:
    """Return the statuses once all have ended; a benchmark of work that failed is no benchmark."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        statuses = client.statuses(ids)
        if all(status.state.is_terminal for status in statuses):
            break
        if time.monotonic() > deadline_s:
            raise TimeoutError("the narrations did not end in time")
        time.sleep(0.2)
    unfinished = [f"{status.id} {status.state}" for status in statuses if status.state != "succeeded"]
    if unfinished:
        raise RuntimeError(f"not everything succeeded: {unfinished[:3]}")
    return statuses
