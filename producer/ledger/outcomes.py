"""What goes into the ledger's calls and what comes out of them.

Knows nothing of Redis but the shape of the scripts' replies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from producer.contract.narration import NarrationRequest
from producer.contract.routing import Priority


@dataclass(frozen=True, slots=True)
class NewNarration:
    """A narration to be entered."""

    request: NarrationRequest
    #: Where the request lies in S3: a key, or `key#offset+length` for a slice of a pack.
    request_ref: str


class Outcome(StrEnum):
    """What became of a narration that was handed in."""

    CREATED = "created"
    EXISTS = "exists"  #: it was handed in before, with the same content
    CONFLICT = "conflict"  #: its id belongs to other content


@dataclass(frozen=True, slots=True)
class Creation:
    """The answer to one `NewNarration`."""

    narration_id: str
    outcome: Outcome
    #: What the plan's message says in its header; 0 unless CREATED, for then there is nothing to send.
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What is to be sent now, after something changed."""

    #: False: the token was stale and nothing changed.
    is_accepted: bool
    #: Segments of the narration whose message is to be sent now.
    items: list[str]
    #: Segments of other narrations whose turn it is to be sent now, on the same queue: (narration id, segment).
    others: list[tuple[str, str]]
    #: Redis time, for the messages' headers.
    sent_ms: int
    #: Of the narration; it says which queue. NORMAL if there is no such narration.
    priority: Priority
    #: The message to assemble the narration is to be sent now.
    needs_assembly: bool

    @classmethod
    def from_reply(cls, narration_id: str, reply: Sequence[Any]) -> Self:
        """Return what a script's `dispatch(...)` says about a narration."""
        is_accepted, sent_ms, priority, needs_assembly, *sent = reply
        pairs = list(groups_of(sent, 2))
        return cls(
            is_accepted=bool(is_accepted),
            items=[item for owner, item in pairs if owner == narration_id],
            others=[(owner, item) for owner, item in pairs if owner != narration_id],
            sent_ms=int(sent_ms),
            priority=Priority(priority.decode() or Priority.NORMAL),
            needs_assembly=bool(needs_assembly),
        )


def groups_of(names: Sequence[bytes], size: int) -> Iterator[tuple[str, ...]]:
    """Yield what a script's flat reply (`id, item, id, item, ...`) says of one item after the other."""
    for at in range(0, len(names), size):
        yield tuple(name.decode() for name in names[at : at + size])


class ClaimOutcome(StrEnum):
    """The answer to a worker that wants to begin with an item."""

    GRANTED = "granted"
    BUSY = "busy"  #: another lease lives, or the item rests before its next attempt: the reconciler will see to it
    DONE = "done"  #: nothing is left to do for it, or it is not its turn yet
    ENDED = "ended"  #: the narration has ended, or there is none
    EXHAUSTED = "exhausted"  #: its attempts are used up, or it ended too many processes; it was marked as failed
    SUSPECT = (
        "suspect"  #: a process ended while it held it: claim it again when nothing else is held; nothing was counted
    )
    OTHER_ENGINE = "other_engine"  #: the narration's voice is another engine's; nothing was counted


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim. Whatever the outcome, what `dispatch` names is to be sent."""

    outcome: ClaimOutcome
    #: Proves that one holds the lease; None unless GRANTED.
    token: str | None
    #: Which attempt this is, counted from 1; 0 unless GRANTED or EXHAUSTED.
    attempt: int
    dispatch: Dispatch

    @property
    def is_granted(self) -> bool:
        """Say whether the worker may begin."""
        return self.outcome is ClaimOutcome.GRANTED


@dataclass(frozen=True, slots=True)
class Resend:
    """A message that is to be sent (again), because nothing else would bring its item forward."""

    narration_id: str
    item: str
    queue: str
    #: Redis time, for the message's header.
    sent_ms: int
