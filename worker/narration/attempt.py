"""One attempt at an item: claim it, do the work, write into the ledger what came of it.

The one place that turns an error into retry, failure, release or the end of the process; it does not know the work.
"""

from __future__ import annotations

import itertools
import logging
import random
import traceback
from collections.abc import Callable
from typing import Final

from producer.contract.errors import ChatterqueueError, QueueUnavailableError, StorageUnavailableError
from producer.ledger import Claim, ClaimOutcome, Dispatch, Ledger
from worker.errors import DrainingError, EngineFaultError, EngineUnavailableError, LeaseLostError
from worker.narration.drain import Drain
from worker.narration.isolation import Isolation
from worker.narration.lease import Lease, LeaseBook
from worker.narration.ports import Messenger

logger = logging.getLogger(__name__)

#: Seconds before the second attempt at an item, doubled for each further one up to the longest.
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0

#: Seconds until an item is offered again because S3 or Redis was away.
SERVICE_AWAY_S: Final = 5.0

#: Seconds until an item is offered again because this worker does not have its engine.
OTHER_ENGINE_S: Final = 10.0

#: What an item's work returns: what to send next; None if that was the last of the narration.
Work = Callable[[Lease], Dispatch | None]


def retry_delay_s(attempt: int) -> float:
    """Return the wait after that many attempts: doubled each time, a random part of it, so that retries spread out."""
    return min(FIRST_RETRY_S * 2.0 ** (attempt - 1), LONGEST_RETRY_S) * random.uniform(0.5, 1.0)


class Attempts:
    """Runs attempts for one process."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        messenger: Messenger,
        book: LeaseBook,
        drain: Drain,
        worker: str,
        end_process: Callable[[str], None],
    ) -> None:
        """Take what an attempt needs.

        Args:
            ledger: decides who may work on what.
            messenger: sends what becomes due.
            book: lists what this process holds.
            drain: says whether the process is going down.
            worker: this process's name.
            end_process: called with a reason when only a new process can go on, once or more often; it returns, and
                the process drains.
        """
        self._ledger = ledger
        self._messenger = messenger
        self._book = book
        self._drain = drain
        self._worker = worker
        self._end_process = end_process
        self._isolation = Isolation()
        #: Of messages so far about narrations that have ended or that nobody knows.
        self._num_stale = itertools.count(1)

    def run(self, narration_id: str, item: str, work: Work, *, engine_identity: str | None = None) -> None:
        """Claim an item and work on it; an item that cannot be had is left alone.

        A suspect, which was in work when a process ended, is claimed again when this process holds nothing else: if
        this process ends too, nobody else can be to blame, and nobody else is blamed.

        Raises:
            DrainingError: the process is going down and the item is free again: its message belongs back in the queue.
            QueueUnavailableError: the item could not be claimed.
        """
        self._refuse_if_draining()
        with self._isolation.together(self._refuse_if_draining, is_long=item == "assemble"):
            claim = self._ledger.claim(narration_id, item, self._worker, engine_identity=engine_identity)
            self._carry_out(claim, narration_id, item, work)
        if claim.outcome is not ClaimOutcome.SUSPECT:
            return
        with self._isolation.alone(self._refuse_if_draining):
            claim = self._ledger.claim(narration_id, item, self._worker, engine_identity=engine_identity, is_alone=True)
            self._carry_out(claim, narration_id, item, work)

    def _refuse_if_draining(self) -> None:
        if self._drain.is_on:
            raise DrainingError

    def _carry_out(self, claim: Claim, narration_id: str, item: str, work: Work) -> None:
        self._send(narration_id, claim.dispatch)
        if claim.token is None:
            # OTHER_ENGINE too: the item rests, and the reconciler offers it again.
            fields = {"narration_id": narration_id, "item": item, "outcome": claim.outcome.value}
            if claim.outcome is ClaimOutcome.ENDED:  # cancelled, deleted, or never known
                logger.info("hint_stale", extra={**fields, "num_stale": next(self._num_stale)})
            else:
                logger.info("claim_refused", extra=fields)
            return
        lease = Lease(narration_id, item, claim.token, claim.attempt, self._drain)
        with self._book.holding(lease):
            dispatch = self._work(lease, work)
        self._send(narration_id, dispatch)

    def _work(self, lease: Lease, work: Work) -> Dispatch | None:
        try:
            dispatch = work(lease)
        except DrainingError:
            self._release(lease, delay_s=0.0)
            raise
        except LeaseLostError:
            logger.info("lease_lost", extra=_ids(lease))
            return None
        except (QueueUnavailableError, StorageUnavailableError, EngineUnavailableError) as error:
            delay_s = OTHER_ENGINE_S if isinstance(error, EngineUnavailableError) else SERVICE_AWAY_S
            self._release(lease, delay_s=delay_s * random.uniform(0.8, 1.2), error=error)
            return None
        except EngineFaultError as error:
            self._end_process(str(error))
            if error.was_begun:
                return self._fail(lease, error, is_end=True)
            # It had no part in the fault: its attempt is refunded, and the next worker has it at once.
            self._release(lease, delay_s=0.0, error=error)
            raise DrainingError from None
        except BaseException as error:  # noqa: BLE001 - MemoryError and SystemExit end the attempt, never the worker
            return self._fail(lease, error)
        if dispatch is not None and not dispatch.is_accepted:
            logger.info("outcome_refused", extra=_ids(lease))
        return dispatch

    def _fail(self, lease: Lease, error: BaseException, *, is_end: bool = False) -> Dispatch | None:
        if isinstance(error, ChatterqueueError):
            code, reason, is_final = error.code, str(error), not error.is_retryable
        else:
            code, is_final = "internal_error", False
            reason = f"the worker met {type(error).__name__}; its log says where"
        # An unknown error's own words may hold the text that was being spoken, so the log gets its place only.
        where = "" if isinstance(error, ChatterqueueError) else "".join(traceback.format_tb(error.__traceback__)[-4:])
        logger.warning("attempt_failed", extra={**_ids(lease), "code": code, "reason": reason, "where": where})
        dispatch = None
        try:
            dispatch = self._ledger.fail(
                lease.narration_id,
                lease.item,
                lease.token,
                code=code,
                reason=reason,
                is_final=is_final,
                delay_s=retry_delay_s(lease.attempt),
                is_end=is_end,
            )
        except QueueUnavailableError as unavailable:  # the lease runs out, and the item is offered again
            logger.warning("outcome_not_written", extra={**_ids(lease), "reason": str(unavailable)})
        return dispatch

    def _release(self, lease: Lease, *, delay_s: float, error: ChatterqueueError | None = None) -> None:
        fields = {} if error is None else {"reason_code": error.code, "reason": str(error)}
        logger.info("item_released", extra={**_ids(lease), "delay_s": round(delay_s, 1), **fields})
        try:
            self._ledger.release(lease.narration_id, lease.item, lease.token, delay_s=delay_s, **fields)
        except QueueUnavailableError as unavailable:  # the lease runs out, and the item is offered again
            logger.warning("outcome_not_written", extra={**_ids(lease), "reason": str(unavailable)})

    def _send(self, narration_id: str, dispatch: Dispatch | None) -> None:
        if dispatch is None:
            return
        try:
            if dispatch.items:
                self._messenger.send_segments(narration_id, dispatch.items, dispatch.priority, dispatch.sent_ms)
            for other_id, item in dispatch.others:
                self._messenger.send_segments(other_id, [item], dispatch.priority, dispatch.sent_ms)
            if dispatch.needs_assembly:
                self._messenger.send_assemble(narration_id, dispatch.sent_ms)
        except QueueUnavailableError as error:  # they count as lost, and the reconciler sends them
            logger.warning("messages_not_sent", extra={"narration_id": narration_id, "reason": str(error)})


def _ids(lease: Lease) -> dict[str, str | int]:
    return {"narration_id": lease.narration_id, "item": lease.item, "attempt": lease.attempt}
