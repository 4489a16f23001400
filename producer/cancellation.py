"""Stopping narrations: the ledger decides at once, and a mark in S3 keeps them from rising again without Redis.

Knows nothing of what the workers do then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from producer.contract.errors import StorageUnavailableError
from producer.contract.status import NarrationStatus, State
from producer.endings import mark_ended
from producer.services import Services

logger = logging.getLogger(__name__)


def cancel(services: Services, narration_ids: Sequence[str]) -> list[State]:
    """Stop narrations; return their states after that. One that has ended stays as it is.

    S3 is not needed for it: a mark that cannot be written now is written by a worker.

    Raises:
        NarrationNotFoundError: no narration has one of these ids; those before it are cancelled.
        QueueUnavailableError: Redis cannot be asked.
    """
    states = [services.ledger.cancel(narration_id) for narration_id in narration_ids]
    statuses = services.ledger.read(narration_ids) if State.CANCELLED in states else []
    _mark(services, [status for status in statuses if status is not None and status.state is State.CANCELLED])
    return states


def _mark(services: Services, cancelled: Sequence[NarrationStatus]) -> None:
    for status in cancelled:
        try:
            mark_ended(
                services.store,
                status.id,
                status.state,
                batch_id=status.batch_id,
                reason_code=status.reason_code,
                reason=status.reason,
                finished_at=status.finished_at,
            )
        except StorageUnavailableError as error:  # the others would wait for it as long
            logger.warning("end_not_marked", extra={"narration_id": status.id, "reason": str(error)})
            return
