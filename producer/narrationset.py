"""A set of narrations on its way in: what was accepted, what is wrong, and where.

Knows nothing of files and of services; whoever submits the set adds what only they can see (`refuse`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from producer.contract.errors import InvalidBatchError, InvalidNarrationError
from producer.contract.fault import Fault
from producer.contract.narration import Narration

#: Narrations in one set; more are several sets.
MAX_NARRATIONS: Final = 100_000

#: Faults that are named one by one; a file of another kind has one on each of its lines.
MAX_FAULTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a narration comes from: a line of a bulk file, a file of its own, or a position in a list."""

    index: int
    line: int | None
    file: str | None

    def __str__(self) -> str:
        if self.line is not None:
            return f"line {self.line}"
        return self.file or f"narrations[{self.index}]"

    def mark(self, fault: Fault) -> Fault:
        """Return the fault with this place in it."""
        if self.line is not None:
            return replace(fault, line=self.line)
        separator = ": " if self.file else "."
        return replace(fault, field=f"{self}{separator}{fault.field}" if fault.field else str(self))


@dataclass(frozen=True, slots=True)
class Member:
    """One narration of a set."""

    place: Place
    narration: Narration


class NarrationSet:
    """Collects narrations and every fault of every one of them."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._faults: list[tuple[int, Fault]] = []
        self._num_added = 0
        self._of_custom_id: dict[str, Member] = {}
        self._of_key: dict[str, tuple[Member, str]] = {}

    @classmethod
    def of(cls, narrations: Iterable[Narration | dict[str, Any]]) -> Self:
        """Return the set of these narrations, or of their fields as plain values."""
        members = cls()
        for narration in narrations:
            members.add(narration)
        return members

    def add(self, narration: Narration | dict[str, Any], *, line: int | None = None, file: str | None = None) -> None:
        """Take a narration in, or note what is wrong with it."""
        place = self._next_place(line, file)
        if not isinstance(narration, Narration):
            try:
                narration = Narration.parse(narration)
            except InvalidNarrationError as error:
                self._note(place, error.faults)
                return
        member = Member(place, narration)
        fault = self._clash(member)
        if fault is None:
            self.members.append(member)
        else:
            self._note(place, [fault])

    def add_fault(self, fault: Fault, *, line: int | None = None, file: str | None = None) -> None:
        """Note a fault of something that did not get as far as being a narration."""
        self._note(self._next_place(line, file), [fault])

    def refuse(self, member: Member, fault: Fault) -> None:
        """Note a fault of a narration that was taken in."""
        self._note(member.place, [fault])

    def check(self) -> None:
        """Raise if the set cannot be submitted as it is.

        Raises:
            InvalidBatchError: naming every fault, in the order of the set; or that the set is empty or too large.
        """
        faults = [fault for _, fault in sorted(self._faults, key=lambda pair: pair[0])]
        if not self._num_added:
            faults = [Fault("batch_empty", "", "there is no narration in it")]
        if self._num_added > MAX_NARRATIONS:
            faults = [Fault("batch_too_large", "", f"at most {MAX_NARRATIONS} narrations fit"), *faults]
        if len(faults) > MAX_FAULTS:
            num_left = len(faults) - MAX_FAULTS
            faults = [*faults[:MAX_FAULTS], Fault("too_many_faults", "", f"and {num_left} more")]
        if faults:
            raise InvalidBatchError.of(faults)

    def _next_place(self, line: int | None, file: str | None) -> Place:
        self._num_added += 1
        return Place(self._num_added - 1, line, file)

    def _note(self, place: Place, faults: Iterable[Fault]) -> None:
        self._faults.extend((place.index, place.mark(fault)) for fault in faults)

    def _clash(self, member: Member) -> Fault | None:
        """Return how a narration contradicts those before it; the same one twice is no contradiction."""
        narration = member.narration
        if narration.idempotency_key is not None:
            content_hash = narration.content_hash()
            first, first_hash = self._of_key.setdefault(narration.idempotency_key, (member, content_hash))
            if first_hash != content_hash:
                message = f"is taken by {first.place} with other content"
                return Fault("idempotency_conflict", "idempotency_key", message)
            if first is not member:
                return None
        if narration.custom_id is not None:
            first = self._of_custom_id.setdefault(narration.custom_id, member)
            if first is not member:
                return Fault("custom_id_duplicate", "custom_id", f"is taken by {first.place}")
        return None
