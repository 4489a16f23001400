"""Taking up again what did not end well: a new narration of the same request, linked to the one before.

A final state never changes, so what failed gets a successor. Segments are named by their content, so those that were
finished are in the cache and only the rest is spoken. Knows nothing of how narrations are spoken.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from producer.contract import keys
from producer.contract.errors import RetryRefusedError
from producer.contract.status import State
from producer.requestpack import Pack
from producer.requestreading import read_request
from producer.services import Services
from producer.submission import Submitted, hand_in

#: A narration that ended as one of these can be taken up again.
RETRYABLE_STATES: Final = frozenset({State.PARTIAL, State.FAILED, State.CANCELLED, State.EXPIRED})


def retry(services: Services, narration_id: str) -> Submitted:
    """Hand in a narration's successor; see `Client.retry`."""
    record = services.ledger.record(narration_id)
    if record.state not in RETRYABLE_STATES:
        raise RetryRefusedError(narration_id, record.state.value)
    successor_id = keys.successor_id(narration_id)
    if services.ledger.read([successor_id])[0] is not None:
        return Submitted(successor_id, is_new=False)
    request = read_request(services.store, narration_id, record.request_ref).model_copy(
        update={"id": successor_id, "batch_id": None, "submitted_at": datetime.now(UTC), "retry_of": narration_id}
    )
    # Two processes may do this at the same moment, and store the same.
    pack = Pack(keys.request_key(successor_id), request.model_dump_json().encode(), is_shared=True)
    return hand_in(services, pack, request)
