"""What the assembly of a narration reads, and how it ends: by a commit, or by reopening segments whose audio is lost.

Knows nothing of audio.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from producer.connection import redis_errors
from producer.contract.manifest import AudioObject, TakeFacts
from producer.contract.status import State
from producer.ledger.access import LedgerAccess
from producer.ledger.items import check_item
from producer.ledger.outcomes import Dispatch

#: Segments in one call of the script that reopens: keeps the server from everybody else for two milliseconds.
REOPEN_BATCH_SIZE: Final = 64


class Assembly(LedgerAccess):
    """The details of a narration while it is worked on, and its end."""

    def takes(self, narration_id: str) -> dict[int, TakeFacts]:
        """Return the accepted take of each segment that is done; empty once the narration has ended."""
        takes = self._hash(self._keys.takes(narration_id))
        return {int(index): TakeFacts.model_validate_json(take) for index, take in takes.items()}

    def failures(self, narration_id: str) -> dict[int, tuple[str, str]]:
        """Return (code, sentence) of each segment that failed for good; empty once the narration has ended."""
        failures = {int(index): json.loads(why) for index, why in self._hash(self._keys.failures(narration_id)).items()}
        return {index: (why["code"], why["reason"]) for index, why in failures.items()}

    def attempts(self, narration_id: str) -> dict[str, int]:
        """Return how often each item was claimed; empty once the narration has ended."""
        attempts = self._hash(self._keys.attempts(narration_id))
        return {item.decode(): int(count) for item, count in attempts.items()}

    def log(self, narration_id: str) -> list[dict[str, Any]]:
        """Return what happened to the narration's items, in order: `at_ms`, `event`, `item` and the event's own fields.

        Gone after `commit`; a narration that ended otherwise keeps it as long as its record.
        """
        with redis_errors(self._settings):
            entries = cast("list[bytes]", self._client.lrange(self._keys.log(narration_id), 0, -1))
        return [json.loads(entry) for entry in entries]

    def reopen(self, narration_id: str, token: str, indexes: Sequence[int]) -> Dispatch:
        """Take back segments that are done but whose audio is lost: they are spoken again, then assembled again.

        The assembly ends here and its attempt does not count. A segment's attempts go on counting; one that has none
        left becomes a gap. Many are taken back in several steps; if that is broken off, the reconciler sends what was
        taken back so far, and the next assembly finds the rest.

        Args:
            narration_id: which narration.
            token: from the claim of `assemble`.
            indexes: the lost segments; those that are not done are left as they are.
        """
        if not indexes:
            raise ValueError("without a lost segment there is nothing to reopen")
        items = [check_item(str(index)) for index in indexes]
        size = min(self._window, REOPEN_BATCH_SIZE)
        for start in range(0, len(items), size):
            batch = items[start : start + size]
            is_last = start + len(batch) == len(items)
            reply = self._run("reopen", narration_id, token, self._window, self._max_attempts, int(is_last), *batch)
            dispatch = Dispatch.from_reply(narration_id, reply)
            if not dispatch.is_accepted:
                break
        return dispatch

    def commit(
        self,
        narration_id: str,
        token: str,
        *,
        state: State,
        audio: AudioObject | None,
        reason_code: str | None = None,
        reason: str | None = None,
    ) -> bool:
        """Give the narration its one final state; what only work in progress needs is dropped.

        Args:
            narration_id: which narration.
            token: from the claim of `assemble`.
            state: a final state; SUCCEEDED only if no segment failed.
            audio: the finished audio, if there is any.
            reason_code: stable name of why it is not SUCCEEDED.
            reason: the same as a sentence.

        Returns:
            Whether it was this token that committed.
        """
        if not state.is_terminal or (state is State.SUCCEEDED and audio is None):
            raise ValueError(f"an assembly {'without' if audio is None else 'with'} audio cannot end as {state}")
        fields: list[str | int] = []
        if audio is not None:
            duration_ms = round(audio.duration_s * 1000)
            fields = ["audio", audio.model_dump_json(), "duration_ms", duration_ms, "size_bytes", audio.size_bytes]
        arguments = (token, state.value, self._retention, reason_code or "", reason or "", *fields)
        reply = self._run("commit", narration_id, *arguments)
        if reply < 0:
            raise ValueError("a narration with failed segments is partial or failed, never succeeded")
        return bool(reply)
