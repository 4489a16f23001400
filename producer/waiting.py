"""Waiting for narrations to end, by asking now and then.

Knows nothing of where the answers come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from producer.contract.errors import NarrationNotFoundError, WaitTimeoutError
from producer.contract.status import NarrationStatus

#: Seconds between two questions: the first pause, and the longest one that it grows to.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
_GROWTH: Final = 1.5

#: Called with every answer, in the order of the ids.
OnProgress = Callable[[Sequence[NarrationStatus]], None]


def wait_for(
    narration_ids: Sequence[str],
    read: Callable[[Sequence[str]], Sequence[NarrationStatus | None]],
    *,
    timeout_s: float | None = None,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[NarrationStatus]:
    """Ask until every narration has ended; return how they did, in the order of the ids.

    The pause between two questions grows while nothing changes and is short again after a change. Narrations that
    have ended are not asked for again.

    Args:
        narration_ids: which ones.
        read: returns their statuses now, None for those that are not known.
        timeout_s: seconds after which to give up; None: never.
        on_progress: is called after every question, also when nothing has changed; what it raises ends the wait.
        clock: monotonic seconds.
        sleep: waits for seconds.

    Raises:
        NarrationNotFoundError: one is not known, or its record has gone.
        WaitTimeoutError: naming the first that had not ended.
    """
    began_s = clock()
    statuses: dict[str, NarrationStatus] = {}
    pause_s = FIRST_PAUSE_S
    while True:
        open_ids = [each for each in narration_ids if each not in statuses or not statuses[each].state.is_terminal]
        answers = _known(open_ids, read(open_ids))
        has_changed = any(statuses.get(each) != status for each, status in answers.items())
        statuses.update(answers)
        if on_progress is not None:
            on_progress([statuses[each] for each in narration_ids])
        still_open = [each for each in open_ids if not statuses[each].state.is_terminal]
        if not still_open:
            return [statuses[each] for each in narration_ids]
        waited_s = clock() - began_s
        if timeout_s is not None and waited_s >= timeout_s:
            raise WaitTimeoutError(still_open[0], statuses[still_open[0]].state.value, timeout_s)
        pause_s = FIRST_PAUSE_S if has_changed else min(pause_s * _GROWTH, LONGEST_PAUSE_S)
        sleep(pause_s if timeout_s is None else min(pause_s, timeout_s - waited_s))


def _known(narration_ids: Sequence[str], answers: Sequence[NarrationStatus | None]) -> dict[str, NarrationStatus]:
    known = {}
    for narration_id, status in zip(narration_ids, answers, strict=True):
        if status is None:
            raise NarrationNotFoundError(narration_id)
        known[narration_id] = status
    return known
