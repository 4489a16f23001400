"""What an audit is to look at, and the limits that it judges by. Knows nothing of Redis or S3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """How far an audit goes. The limits are those that workers have unless they are told otherwise."""

    #: Only these; None: everything under the prefixes.
    narration_ids: Sequence[str] | None = None
    #: Nothing is under way any more: everything must have ended.
    is_at_rest: bool = False
    #: Ids of which a submit returned; None: it is not known which.
    acknowledged_ids: Sequence[str] | None = None
    #: A word that stands in texts, names or passwords, and so nowhere in Redis or in the keys of objects.
    canary: str | None = None
    #: Read and decode all audio; else its header is read. Needs soundfile.
    is_decoding: bool = False

    #: Attempts that an item may have (CHATTERQUEUE_MAX_ATTEMPTS).
    max_attempts: int = 4
    #: Of these, how many may end with the death of their process.
    max_deaths: int = 2
    #: Seconds after a lease's end at which the reconciler has noticed.
    sweep_s: float = 15.0
    #: Seconds that a lease may last (CHATTERQUEUE_LEASE_S at most).
    max_lease_s: float = 600.0
    #: Seconds for which an object or an upload may belong to work under way.
    grace_s: float = 3_600.0
