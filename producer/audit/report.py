"""What an audit found: the broken invariants, and how much was looked at.

Knows nothing of how anything is found.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Invariant(StrEnum):
    """What must hold at any moment; `--at-rest` adds what must hold when nothing moves any more."""

    ACCEPTED_IS_KEPT = "I1"  #: an acknowledged narration exists and, at rest, has ended
    ONE_END = "I2"  #: it has one final state, the same in Redis and S3, and its parts fit that state
    COUNTS_AGREE = "I3"  #: done + failed + under way = all; each item is in exactly one place
    MANIFEST_IS_WHOLE = "I4"  #: segments 0..n-1 once each, in order; every object is there, of its length
    ONE_TAKE_EACH = "I5"  #: for every done segment one token was accepted, and stale ones were counted
    NO_ORPHANS = "I6"  #: no object under a narration that belongs to nothing
    NO_BROKEN_UPLOADS = "I7"  #: no multipart upload older than the time of grace
    ATTEMPTS_ARE_BOUNDED = "I8"  #: no item was tried, or killed a process, more often than allowed
    LEASES_END = "I9"  #: no lease is older than its time and a sweep of the reconciler
    NO_LEAKS = "I10"  #: no key in Redis without its narration, none without an end
    NOTHING_LOST = "I11"  #: nothing acknowledged was lost
    NO_SECRETS = "I12"  #: a word that must not be there is in no key and no value of Redis, and in no object's key
    ONE_VOICE = "I13"  #: the finished audio was spoken by the voice that was asked for
    SAME_SEED_SAME_SOUND = "I14"  #: one segment key stands for one sound, in every narration


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant."""

    invariant: Invariant
    #: None: it is about no single narration.
    narration_id: str | None
    #: A segment's index, `plan`, `assemble`, an object or a key in Redis; None: the narration as a whole.
    item: str | None
    #: What is wrong, in a sentence.
    text: str
    #: What to do about it.
    remedy: str

    def __str__(self) -> str:
        where = " ".join(part for part in (self.narration_id, self.item) if part is not None)
        return f"{self.invariant.value} {where}: {self.text} -> {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "invariant": self.invariant.value,
            "narration_id": self.narration_id,
            "item": self.item,
            "text": self.text,
            "remedy": self.remedy,
        }


@dataclass(slots=True)
class Report:
    """All that one audit found. Grows while the audit runs."""

    violations: list[Violation] = field(default_factory=list)
    #: What was looked at, by name: narrations, segments, objects, executions, ...
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_whole(self) -> bool:
        """Say whether nothing is broken."""
        return not self.violations

    def add(self, invariant: Invariant, narration_id: str | None, item: str | int | None, text: str, do: str) -> None:
        """Note that an invariant is broken.

        Args:
            invariant: which one.
            narration_id: where; None if it is about no narration.
            item: of which item, object or key.
            text: what is wrong.
            do: what to do about it.
        """
        self.violations.append(Violation(invariant, narration_id, None if item is None else str(item), text, do))

    def of(self, invariant: Invariant) -> list[Violation]:
        """Return where one invariant is broken."""
        return [violation for violation in self.violations if violation.invariant is invariant]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "is_whole": self.is_whole,
            "counts": dict(self.counts),
            "violations": [violation.to_dict() for violation in self.violations],
        }
