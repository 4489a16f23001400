"""Gives back what a process holds when its threads no longer can.

Knows nothing of why they cannot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from producer.contract.errors import QueueUnavailableError
from producer.ledger import Resend
from worker.narration.lease import Lease

logger = logging.getLogger(__name__)


class Ledger(Protocol):
    """Where items are given back (`producer.ledger.Ledger`)."""

    def release(self, narration_id: str, item: str, token: str) -> bool: ...  # noqa: D102

    def reconcile_many(  # noqa: D102
        self, narration_ids: Sequence[str], *, grace_s: float, heads: Mapping[str, int | None]
    ) -> Sequence[Resend]: ...


def hand_over(
    leases: Sequence[Lease],
    *,
    ledger: Ledger,
    send: Callable[[Iterable[Resend]], None],
    heads: Callable[[], Mapping[str, int | None]],
) -> None:
    """Release items, attempts refunded, and send fresh messages for them: the old ones are acknowledged by nobody."""
    try:
        for lease in leases:
            ledger.release(lease.narration_id, lease.item, lease.token)
        narration_ids = sorted({lease.narration_id for lease in leases})
        send(ledger.reconcile_many(narration_ids, grace_s=0.0, heads=heads()))
    except QueueUnavailableError as error:  # the leases run out, and another worker's reconciler finds them
        logger.warning("hand_over_failed", extra={"reason": str(error)})
