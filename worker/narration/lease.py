"""The items that this process holds: each a lease in the ledger and a message that Celery has not acknowledged.

Knows nothing of who renews them; that is the heartbeat.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.errors import DrainingError, LeaseLostError
from worker.narration.drain import Drain


@dataclass(slots=True)
class Lease:
    """One granted claim."""

    narration_id: str
    item: str
    #: Fencing token: the ledger refuses every outcome that comes with an older one.
    token: str
    #: Attempts at this item so far, this one counted.
    attempt: int
    drain: Drain
    #: Set by the heartbeat when the ledger no longer knows the token: cancelled, or given to another worker.
    is_lost: bool = field(default=False)

    def check(self) -> None:
        """Raise if going on makes no sense; long work calls this between its steps.

        Raises:
            LeaseLostError: the item is no longer ours.
            DrainingError: the process has no more time.
        """
        if self.is_lost:
            raise LeaseLostError(self.narration_id, self.item)
        if self.drain.is_over:
            raise DrainingError


class LeaseBook:
    """All leases of this process and the delivery tags of all messages it has been given. Safe for use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[tuple[str, str], Lease] = {}
        self._tags: set[str] = set()

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[Lease]:
        """List a lease while the block runs, so that it is renewed."""
        key = (lease.narration_id, lease.item)
        with self._lock:
            self._leases[key] = lease
        try:
            yield lease
        finally:
            with self._lock:
                # A lease that was lost and granted to us again has taken the place already.
                if self._leases.get(key) is lease:
                    del self._leases[key]

    @contextmanager
    def delivered(self, tag: str | None) -> Iterator[None]:
        """List a message's delivery tag while the block runs, so that the broker does not deliver it again."""
        if tag is None:
            yield
            return
        with self._lock:
            self._tags.add(tag)
        try:
            yield
        finally:
            with self._lock:
                self._tags.discard(tag)

    def leases(self) -> list[Lease]:
        """Return the leases held now."""
        with self._lock:
            return list(self._leases.values())

    def tags(self) -> list[str]:
        """Return the delivery tags of the messages in work now."""
        with self._lock:
            return list(self._tags)
