"""Splits a narration's text and has the ledger dispatch the segments."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from producer.contract.chapter import Chapter
from producer.contract.errors import MalformedMessageError
from producer.contract.keys import plan_key, request_key
from producer.contract.narration import NarrationRequest
from producer.contract.plan import Plan
from producer.ledger import Dispatch, Ledger
from worker.narration.attempt import Attempts
from worker.narration.lease import Lease
from worker.narration.ports import Store
from worker.narration.records import read_request
from worker.narration.redoing import plan_before, redone
from worker.narration.rewriting import rewriting_of
from worker.text.split import Rewrite

logger = logging.getLogger(__name__)

JSON: Final = "application/json"


class Split(Protocol):
    """Cuts a text into segments (`worker.text.split`)."""

    def __call__(  # noqa: D102
        self, text: str, *, language: str, narration_id: str, chapters: Sequence[Chapter], rewrite: Rewrite
    ) -> Plan: ...


class Planner:
    """The work of the item `plan`."""

    def __init__(self, *, attempts: Attempts, ledger: Ledger, store: Store, split: Split) -> None:
        self._attempts = attempts
        self._ledger = ledger
        self._store = store
        self._split = split

    def run(self, narration_id: str) -> None:
        """Attempt to split a narration.

        Raises:
            DrainingError: as `Attempts.run`.
            QueueUnavailableError: as `Attempts.run`.
        """
        self._attempts.run(narration_id, "plan", self._plan)

    def _plan(self, lease: Lease) -> Dispatch:
        reference = self._ledger.record(lease.narration_id).request_ref
        request = read_request(self._store, reference)
        if request.id != lease.narration_id:
            raise MalformedMessageError(reference, f"it is the request of {request.id}")
        plan = self._plan_of(request)
        lease.check()
        # One that was submitted in a pack gets a request of its own, so that every narration stands alone in S3.
        if reference != request_key(lease.narration_id):
            self._store.put(request_key(lease.narration_id), request.model_dump_json().encode(), JSON)
        self._store.put(plan_key(lease.narration_id), plan.model_dump_json().encode(), JSON)
        dispatch = self._ledger.planned(lease.narration_id, lease.token, len(plan.segments))
        if dispatch.is_accepted:
            counts = {"num_segments": len(plan.segments), "num_chars": plan.num_chars}
            logger.info("narration_planned", extra={"narration_id": lease.narration_id, **counts})
        return dispatch

    def _plan_of(self, request: NarrationRequest) -> Plan:
        """Return the plan of a request, before anything of it is stored."""
        narration = request.narration
        rewrite = rewriting_of(self._store, request)
        plan = plan_before(self._store, request) or self._split(
            narration.text,
            language=narration.language,
            narration_id=request.id,
            chapters=narration.chapters,
            rewrite=rewrite,
        )
        return redone(plan, request.redone, rewrite)
