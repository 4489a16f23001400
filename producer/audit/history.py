"""Whether the log of a narration's items tells the same story as its end: one accepted take for each segment.

Knows nothing of where the log comes from: Redis while the narration is under way, `takes.jsonl` after that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

from producer.audit.report import Invariant, Report

#: Entries up to which the ledger keeps a log whole: that many, and 16 for each segment, and never more than the last.
_FREE_ENTRIES: Final = 1_000
_ENTRIES_PER_SEGMENT: Final = 16
_MAX_ENTRIES: Final = 100_000

_REMEDY: Final = "report it with the narration's takes.jsonl: a stale token was accepted, or an accepted one forgotten"


def check_history(
    narration_id: str,
    log: Sequence[dict[str, Any]],
    done: Collection[int],
    num_segments: int,
    num_rejected: int | None,
    max_deaths: int,
    report: Report,
) -> None:
    """Compare a log with the segments that are done.

    Args:
        narration_id: whose.
        log: its entries, in order.
        done: segments that are done, or present in the finished audio.
        num_segments: how many there are.
        num_rejected: stale calls that the record has counted; None if it is not known.
        max_deaths: processes that may end while they work on one item.
        report: takes what is found.
    """
    if not log or len(log) >= min(_MAX_ENTRIES, _FREE_ENTRIES + _ENTRIES_PER_SEGMENT * num_segments):
        return  # a log that is full has stopped in the middle and proves nothing
    accepted: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for entry in log:
        event, item = str(entry.get("event")), str(entry.get("item"))
        events[event] += 1
        accepted[item] += {"completed": 1, "restored": 1, "reopened": -1}.get(event, 0)
        if entry.get("num_ends", 0) > max_deaths:
            text = f"{entry['num_ends']} processes ended while they worked on it, and {max_deaths} may"
            report.add(Invariant.ATTEMPTS_ARE_BOUNDED, narration_id, item, text, _REMEDY)
        if event == "claimed" and item.isdecimal():
            report.counts["executions"] += 1
    for index in range(num_segments):
        number = accepted[str(index)]
        if number != (1 if index in done else 0):
            text = f"{number} takes were accepted, and it is {'done' if index in done else 'not done'}"
            report.add(Invariant.ONE_TAKE_EACH, narration_id, index, text, _REMEDY)
    if num_rejected is not None and events["rejected"] > num_rejected:
        text = f"{events['rejected']} stale calls were refused, and {num_rejected} are counted"
        report.add(Invariant.ONE_TAKE_EACH, narration_id, None, text, _REMEDY)
    report.counts["rejected"] += events["rejected"]
