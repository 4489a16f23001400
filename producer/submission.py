"""Handing narrations in: the request to S3, the record to the ledger, the message to the workers, in this order.

Knows nothing of what happens then. Whatever fails before the record is made leaves nothing behind; a message that
cannot be sent after it loses nothing, because the workers' reconciler sends it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from producer.contract import keys
from producer.contract.errors import (
    ChatterqueueError,
    IdempotencyConflictError,
    QueueUnavailableError,
    StorageUnavailableError,
)
from producer.contract.fault import Fault
from producer.contract.narration import Narration, NarrationRequest
from producer.narrationset import NarrationSet
from producer.references import References
from producer.requestpack import Pack, packs_of
from producer.room import wait_for_room
from producer.services import Services

if TYPE_CHECKING:
    from producer.ledger import Creation, NewNarration

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A narration that was handed in."""

    narration_id: str
    #: False if it was known already and nothing was queued again.
    is_new: bool


def submit_one(services: Services, narration: Narration | dict[str, Any], *, wait_s: float = 0.0) -> Submitted:
    """Hand in one narration; see `Client.submit`."""
    if not isinstance(narration, Narration):
        narration = Narration.parse(narration)
    found = References(services).look_up(narration)
    found.check()
    narration_id = _id_of(narration)
    if services.ledger.read([narration_id])[0] is not None:
        _check_same_content(services, narration_id, narration)
        return Submitted(narration_id, is_new=False)
    request = NarrationRequest.new(narration, narration_id=narration_id, **found.pinned)
    # With a key, another process may hand in other content under the same id at this moment: each has its own object.
    content_hash = narration.content_hash() if narration.idempotency_key is not None else None
    pack = Pack(
        keys.request_key(narration_id, content_hash),
        request.model_dump_json().encode(),
        is_shared=content_hash is not None,
    )
    return _carry_out(services, [pack], [(request, pack.key)], wait_s=wait_s)[0]


def hand_in(services: Services, pack: Pack, request: NarrationRequest) -> Submitted:
    """Hand in one request that is made and whose id is known; the same again changes nothing."""
    return _carry_out(services, [pack], [(request, pack.key)])[0]


def submit_set(services: Services, narrations: NarrationSet, *, wait_s: float = 0.0) -> tuple[str, list[Submitted]]:
    """Hand in a set of narrations and return the batch's id as well; see `Client.submit_many`."""
    try:
        references = References(services)
        found = [references.look_up(member.narration) for member in narrations.members]
        for member, named in zip(narrations.members, found, strict=True):
            for fault in named.faults:
                narrations.refuse(member, fault)
        _refuse_conflicts(services, narrations)
    except ChatterqueueError:
        narrations.check()  # what is wrong with the set itself is said first
        raise
    narrations.check()
    batch_id = keys.new_id()
    requests = [
        NarrationRequest.new(
            member.narration,
            narration_id=_id_of(member.narration),
            batch_id=batch_id,
            **named.pinned,
        )
        for member, named in zip(narrations.members, found, strict=True)
    ]
    packs, refs = packs_of(requests, batch_id)
    return batch_id, _carry_out(services, packs, list(zip(requests, refs, strict=True)), wait_s=wait_s)


def _carry_out(
    services: Services,
    packs: Sequence[Pack],
    requests: Sequence[tuple[NarrationRequest, str]],
    *,
    wait_s: float = 0.0,
) -> list[Submitted]:
    """Store the packs, make the records, send the messages; return what became of each narration."""
    from producer.ledger import NewNarration, Outcome

    wait_for_room(services.redis, services.settings, len(requests), wait_s=wait_s)
    _store(services, packs)
    creations = _create(services, packs, [NewNarration(request, ref) for request, ref in requests])
    if all(creation.outcome is not Outcome.CREATED for creation in creations):
        _forget(services, packs)  # somebody else was faster with each of them
    _send(services, [creation for creation in creations if creation.outcome is Outcome.CREATED])
    for (request, _), creation in zip(requests, creations, strict=True):
        if creation.outcome is Outcome.CONFLICT:
            raise IdempotencyConflictError(request.narration.idempotency_key or "", creation.narration_id)
    return [Submitted(creation.narration_id, is_new=creation.outcome is Outcome.CREATED) for creation in creations]


def _store(services: Services, packs: Sequence[Pack]) -> None:
    for number, pack in enumerate(packs):
        try:
            services.store.put(pack.key, pack.content, pack.content_type)
        except StorageUnavailableError:
            _forget(services, packs[:number])
            raise


def _create(services: Services, packs: Sequence[Pack], entries: Sequence[NewNarration]) -> list[Creation]:
    from redis.exceptions import ResponseError

    try:
        return services.ledger.create(entries)
    except QueueUnavailableError as error:
        # That the only record was refused is certain. After a timeout the record may be there and needs its request.
        if len(entries) == 1 and isinstance(error.__cause__, ResponseError):
            _forget(services, packs)
        raise


def _send(services: Services, creations: Sequence[Creation]) -> None:
    try:
        services.messenger.send_plan((creation.narration_id, creation.sent_ms) for creation in creations)
    except QueueUnavailableError as error:
        logger.warning("plan_unsent", extra={"num_narrations": len(creations), "reason": str(error)})


def _forget(services: Services, packs: Iterable[Pack]) -> None:
    """Remove requests that no record points to, if S3 lets us; one that stays does no harm."""
    for pack in packs:
        if pack.is_shared:
            continue
        try:
            services.store.delete(pack.key)
        except StorageUnavailableError as error:
            logger.warning("request_left_behind", extra={"key": pack.key, "reason": str(error)})
            return


def _refuse_conflicts(services: Services, narrations: NarrationSet) -> None:
    """Refuse narrations whose idempotency key is known with other content.

    Asks Redis in any case, so that a dead one is noticed before anything is stored.
    """
    keyed = [member for member in narrations.members if member.narration.idempotency_key is not None]
    ids = [_id_of(member.narration) for member in keyed] or [keys.new_id()]
    for narration_id, status, member in zip(ids, services.ledger.read(ids), keyed, strict=False):
        if status is None:
            continue
        try:
            _check_same_content(services, narration_id, member.narration)
        except IdempotencyConflictError as error:
            narrations.refuse(member, Fault(error.code, "idempotency_key", str(error)))


def _id_of(narration: Narration) -> str:
    return keys.new_id() if narration.idempotency_key is None else keys.id_of_key(narration.idempotency_key)


def _check_same_content(services: Services, narration_id: str, narration: Narration) -> None:
    if services.ledger.record(narration_id).content_hash != narration.content_hash():
        raise IdempotencyConflictError(narration.idempotency_key or "", narration_id)
