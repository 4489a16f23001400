"""Taking up again what did not end well: a new narration of the same request, linked to the one before.

A final state never changes, so what failed gets a successor. Segments are named by their content, so those that were
finished are in the cache and only the rest is spoken. Knows nothing of how narrations are spoken.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from producer.contract import keys
from producer.contract.errors import MalformedMessageError, NarrationNotFoundError, RetryRefusedError
from producer.contract.narration import SCHEMA_VERSION, NarrationRequest
from producer.contract.status import State
from producer.requestpack import Pack
from producer.services import Services
from producer.submission import Submitted, hand_in

if TYPE_CHECKING:
    from producer.storage import ObjectStore

#: A narration that ended as one of these can be taken up again.
RETRYABLE_STATES: Final = frozenset({State.PARTIAL, State.FAILED, State.CANCELLED, State.EXPIRED})

_SLICE: Final = re.compile(r"(?P<key>[^#]+)(?:#(?P<offset>\d+)\+(?P<length>\d+))?")


def retry(services: Services, narration_id: str) -> Submitted:
    """Hand in a narration's successor; see `Client.retry`."""
    record = services.ledger.record(narration_id)
    if record.state not in RETRYABLE_STATES:
        raise RetryRefusedError(narration_id, record.state.value)
    successor_id = keys.successor_id(narration_id)
    if services.ledger.read([successor_id])[0] is not None:
        return Submitted(successor_id, is_new=False)
    request = _read(services.store, narration_id, record.request_ref).model_copy(
        update={"id": successor_id, "batch_id": None, "submitted_at": datetime.now(UTC), "retry_of": narration_id}
    )
    # Two processes may do this at the same moment, and store the same.
    pack = Pack(keys.request_key(successor_id), request.model_dump_json().encode(), is_shared=True)
    return hand_in(services, pack, request)


def _read(store: ObjectStore, narration_id: str, reference: str) -> NarrationRequest:
    from producer.storage import ObjectNotFoundError

    match = _SLICE.fullmatch(reference)
    if match is None:
        raise MalformedMessageError(f"the record of narration {narration_id}", "its request is nowhere")
    key, offset, length = match.groups()
    try:
        data = store.get(key) if offset is None else store.get_range(key, int(offset), int(length))
    except ObjectNotFoundError:
        raise NarrationNotFoundError(narration_id) from None
    try:
        request = NarrationRequest.model_validate_json(data)
    except ValueError:  # its message may hold the text
        raise MalformedMessageError(f"the request of narration {narration_id}", "it is none") from None
    if request.schema_version > SCHEMA_VERSION:
        raise MalformedMessageError(f"the request of narration {narration_id}", "a newer version has written it")
    return request
