"""Putting back the records of narrations that Redis has lost.

Knows nothing of S3: whoever calls it has read there what the record must say. What has a record is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from producer.connection import redis_errors
from producer.contract.manifest import TakeFacts
from producer.contract.narration import NarrationRequest
from producer.contract.status import State
from producer.ledger.access import DAY_MS, LedgerAccess
from producer.ledger.items import check_item
from producer.ledger.outcomes import NewNarration
from producer.ledger.record import fields_of
from producer.ledger.scripting import Call

#: Segments in one call of the script: keeps the server from everybody else for two milliseconds.
TAKES_BATCH_SIZE: Final = 128

#: As in `producer.ledger.register`: how long a batch can be listed beyond its records.
_BATCH_SLACK_MS: Final = 30 * DAY_MS


class RestoreOutcome(StrEnum):
    """What became of a narration that was to be put back."""

    EXISTS = "exists"  #: it has a record, which stays as it is
    RESTORED = "restored"
    RESTORING = "restoring"  #: its segments are to follow, then `restore_ready`


@dataclass(frozen=True, slots=True)
class Restoration:
    """The answer to a restoration."""

    outcome: RestoreOutcome
    #: Redis time, for the header of the plan's message.
    sent_ms: int


class Restoring(LedgerAccess):
    """The ledger as the one who rebuilds it sees it. Every call may be repeated."""

    def exist(self, narration_ids: Sequence[str]) -> list[bool]:
        """Say for each narration whether it has a record that is whole."""
        with redis_errors(self._settings):
            pipeline = self._client.pipeline(transaction=False)
            for narration_id in narration_ids:
                pipeline.hmget(self._keys.record(narration_id), "state", "restoring")
            return [state is not None and restoring is None for state, restoring in pipeline.execute()]

    def restore_queued(self, new: NarrationRequest, request_ref: str) -> Restoration:
        """Put back a narration whose text was not split yet; the caller sends the plan's message if it is RESTORED."""
        return self._restore(new, request_ref, State.QUEUED, {}, stays_ms=0)

    def restore_ended(
        self, new: NarrationRequest, request_ref: str, state: State, fields: Mapping[str, str | int], *, stays_s: float
    ) -> Restoration:
        """Put back a narration that has ended.

        Args:
            new: its request.
            request_ref: where that lies.
            state: how it ended.
            fields: what the record says beside what the request does.
            stays_s: seconds until the record expires.
        """
        if not state.is_terminal:
            raise ValueError(f"{state} is no final state")
        return self._restore(new, request_ref, state, fields, stays_ms=max(1, round(stays_s * 1000)))

    def restore_running(
        self, new: NarrationRequest, request_ref: str, *, num_segments: int, engine_identity: str | None
    ) -> Restoration:
        """Begin to put back a narration that was being spoken; nobody works on it until `restore_ready`."""
        fields: dict[str, str | int] = {"num_segments": num_segments, "started_ms": _milliseconds(new)}
        if engine_identity is not None:
            fields["engine_identity"] = engine_identity
        return self._restore(new, request_ref, State.RUNNING, fields, stays_ms=0)

    def restore_takes(self, narration_id: str, takes: Mapping[int, TakeFacts | None]) -> bool:
        """Put back segments: those with a take are done, the others were sent before and are sent again.

        Returns:
            False if the narration is not being restored any more: it was cancelled, or somebody else was faster.
        """
        pairs = [
            (check_item(str(index)), "" if take is None else take.model_dump_json())
            for index, take in sorted(takes.items())
        ]
        for start in range(0, len(pairs), TAKES_BATCH_SIZE):
            batch = [text for pair in pairs[start : start + TAKES_BATCH_SIZE] for text in pair]
            if not self._run("restore_takes", narration_id, *batch):
                return False
        return True

    def restore_ready(self, narration_id: str, *, cursor: int) -> bool:
        """Let a narration go on, unless it has ended meanwhile; the reconciler sends what is due.

        Args:
            narration_id: which one.
            cursor: every segment below it was put back by `restore_takes`; the others were never sent.
        """
        return bool(self._run("restore_ready", narration_id, narration_id, cursor))

    def _restore(
        self, new: NarrationRequest, request_ref: str, state: State, fields: Mapping[str, str | int], *, stays_ms: int
    ) -> Restoration:
        every_field = {
            **fields_of(NewNarration(new, request_ref)),
            "content_hash": new.narration.content_hash(),
            "creation_token": "",
            **fields,
        }
        batch = "" if new.batch_id is None else self._keys.batch(new.batch_id)
        call: Call = (
            [*self._keys_of(new.id), self._keys.narrations(), batch],
            [
                new.id,
                state.value,
                _milliseconds(new),
                _place(new),
                self._retention_ms + _BATCH_SLACK_MS,
                stays_ms,
                *(part for pair in every_field.items() for part in pair),
            ],
        )
        with redis_errors(self._settings):
            reply: Any = self._scripts.run("restore", *call)
        return Restoration(RestoreOutcome(reply[0].decode()), int(reply[1]))


def _milliseconds(request: NarrationRequest) -> int:
    return round(request.submitted_at.timestamp() * 1000)


def _place(request: NarrationRequest) -> int:
    """Return a place in its batch that keeps the order: microseconds, in which a batch's requests were made."""
    return round(request.submitted_at.timestamp() * 1_000_000)
