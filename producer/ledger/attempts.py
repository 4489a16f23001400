"""Who may work on which item, and what came of it: claim, renew, and the ways an attempt ends.

Knows nothing of the work itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from producer.connection import redis_errors
from producer.contract.manifest import TakeFacts
from producer.ledger.access import LedgerAccess
from producer.ledger.items import check_item
from producer.ledger.outcomes import Claim, ClaimOutcome, Dispatch
from producer.ledger.scripting import Call


class Attempts(LedgerAccess):
    """The attempts at the items of narrations.

    A method that takes an item raises `MalformedMessageError` if it is none: it may come from a message made by hand.
    """

    def claim(
        self,
        narration_id: str,
        item: str,
        worker: str,
        *,
        engine_identity: str | None = None,
        is_alone: bool = False,
    ) -> Claim:
        """Ask for an item; the attempt is counted here.

        The first segment that is claimed with an identity pins the narration to that engine. Whatever the outcome,
        the caller sends what `Claim.dispatch` names: an exhausted segment moves the narration on.

        Args:
            narration_id: of which narration.
            item: what to work on.
            worker: name of this process, for the log.
            engine_identity: of the engine that will speak; None if none will.
            is_alone: whether this process holds nothing else and takes nothing else until this has ended. Only so is
                a suspect granted, and its end names the one to blame.
        """
        token = secrets.token_hex(8)
        outcome_word, attempt, *dispatch = self._run(
            "claim",
            narration_id,
            check_item(item),
            token,
            worker,
            self._lease_ms,
            self._max_attempts,
            self._window,
            self._retention,
            engine_identity or "",
            self._max_ends,
            int(is_alone),
        )
        outcome = ClaimOutcome(outcome_word.decode())
        is_granted = outcome is ClaimOutcome.GRANTED
        return Claim(outcome, token if is_granted else None, attempt, Dispatch.from_reply(narration_id, dispatch))

    def renew(self, leases: Iterable[tuple[str, str, str]]) -> list[bool]:
        """Put off the end of leases (narration id, item, token), all in one round trip.

        Returns:
            For each whether it is still ours. If not, stop: the item has another owner, or the narration has ended.
        """
        calls: list[Call] = [
            (self._keys_of(narration_id), [check_item(item), token, self._lease_ms])
            for narration_id, item, token in leases
        ]
        with redis_errors(self._settings):
            return [bool(reply) for reply in self._scripts.run_many("renew", calls)]

    def planned(self, narration_id: str, token: str, num_segments: int) -> Dispatch:
        """Accept the plan: the narration runs, and its segments are sent as its turns come."""
        if num_segments < 1:
            raise ValueError("a plan has at least one segment")
        return Dispatch.from_reply(narration_id, self._run("planned", narration_id, token, num_segments, self._window))

    def complete(self, narration_id: str, index: int, token: str, take: TakeFacts) -> Dispatch:
        """Accept a segment's take; after the last the assembly is to be sent."""
        arguments = (check_item(str(index)), token, take.model_dump_json(), self._window)
        return Dispatch.from_reply(narration_id, self._run("complete", narration_id, *arguments))

    def fail(
        self,
        narration_id: str,
        item: str,
        token: str,
        *,
        code: str,
        reason: str,
        is_final: bool,
        delay_s: float = 0.0,
        is_end: bool = False,
    ) -> Dispatch:
        """End an attempt without a result.

        If that is final, or was the last attempt, a segment becomes a gap, and without plan or assembly the narration
        has failed. Otherwise it is tried again: a segment without delay is among the dispatch's items; everything else
        is sent by the reconciler when its pause is over.

        Args:
            narration_id: of which narration.
            item: what was tried.
            token: from its claim.
            code: stable name of the reason.
            reason: a sentence, without the text.
            is_final: whether it makes no sense to try again.
            delay_s: pause before the next attempt.
            is_end: whether the process ends with this attempt, so that the item is a suspect from now on.
        """
        arguments = (
            check_item(item),
            token,
            code,
            reason,
            int(is_final),
            round(delay_s * 1000),
            self._max_attempts,
            self._window,
            self._retention,
            self._max_ends,
            int(is_end),
        )
        return Dispatch.from_reply(narration_id, self._run("fail", narration_id, *arguments))

    def release(
        self,
        narration_id: str,
        item: str,
        token: str,
        *,
        delay_s: float = 0.0,
        reason_code: str | None = None,
        reason: str | None = None,
    ) -> bool:
        """Give an item back untried; the attempt does not count.

        Without a delay the caller puts the item's message back into its queue (a drain); with one it drops the message
        and the reconciler sends another when the pause is over. A reason is shown in the status until the next claim.

        Returns:
            Whether the token still held the item.
        """
        arguments = (check_item(item), token, round(delay_s * 1000), reason_code or "", reason or "")
        return bool(self._run("release", narration_id, *arguments))
