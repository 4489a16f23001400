"""A Chatterbox engine that meets with an accident once, in its own process: what `faultygpuworker` has made there.

CHATTERQUEUE_TEST_ACCIDENT says what happens, `assert` or `memory`; CHATTERQUEUE_TEST_ACCIDENT_FILE is made by the
process that it happens to, and it happens to no other. It happens while the engine is busy, after some takes.
On a CPU the assert is played: the calls fail as they would.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from worker.engine.chatterboxmaker import ChatterboxMaker
from worker.engine.request import SegmentRequest, Take

logger = logging.getLogger(__name__)

#: Takes of a process until the accident, that of its warm-up included: others are decoded and rendered meanwhile.
NUM_TAKES: Final = 2
#: Calls that fail for want of memory until there is enough again, and what they ask for.
NUM_SHORTAGES: Final = 3
MORE_THAN_ANY_BYTES: Final = 2**45


@dataclass(frozen=True)
class UnluckyMaker(ChatterboxMaker):
    """Makes the real engine, with its accident to come."""

    def make(self) -> Any:
        engine = super().make()
        accident = {"assert": break_device, "memory": take_memory}[os.environ["CHATTERQUEUE_TEST_ACCIDENT"]]
        _await_accident(engine, accident)
        return engine


def _await_accident(engine: Any, accident: Callable[[Any], None]) -> None:
    submit, num_takes = engine.submit, count(1)

    def on_take(_: Future[Take]) -> None:
        if next(num_takes) == NUM_TAKES and _is_first():
            logger.critical("accident", extra={"kind": accident.__name__})
            accident(engine)

    def submit_and_count(request: SegmentRequest) -> Future[Take]:
        future = submit(request)
        future.add_done_callback(on_take)
        return future

    engine.submit = submit_and_count


def _is_first() -> bool:
    try:
        Path(os.environ["CHATTERQUEUE_TEST_ACCIDENT_FILE"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def break_device(engine: Any) -> None:
    """Launch a kernel that asserts; whoever calls the device next is told."""
    import torch

    if torch.cuda.is_available():
        torch.zeros(2, device="cuda")[torch.tensor([5], device="cuda")]
    else:
        _replace_calls(engine, _failing_with(RuntimeError("CUDA error: device-side assert triggered")))


def take_memory(engine: Any) -> None:
    """Let the next calls ask the device for more memory than there is, as a neighbour's appetite would make them."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    num_calls = count(1)

    def short(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            if next(num_calls) <= NUM_SHORTAGES:
                logger.warning("memory_was_short")
                torch.empty(MORE_THAN_ANY_BYTES, dtype=torch.uint8, device=device)
            return call(*arguments)

        return called

    _replace_calls(engine, short)


def _failing_with(error: Exception) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def failing(_: Callable[..., Any]) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise error

        return fail

    return failing


def _replace_calls(engine: Any, replace: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put something around the calls that take memory on the device and use it: prefill and rendering."""
    for speaker in engine._speakers.values():
        for part, name in ((speaker._decoder, "admit"), *((renderer, "render") for renderer in speaker._renderers)):
            setattr(part, name, replace(getattr(part, name)))
