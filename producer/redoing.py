"""Speaking chosen segments of a finished narration once more: a new narration, linked to the one before.

A final state never changes, so the new takes get a narration of their own. It has the other one's plan, so that a
segment's number means the same in both, and everything that is not spoken again is found in the segment cache.
Knows nothing of why somebody did not like a take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from producer.contract import keys
from producer.contract.errors import MalformedMessageError, RedoRefusedError
from producer.contract.narration import NarrationRequest, Redo, is_speakable
from producer.contract.plan import Plan
from producer.contract.status import STATES_WITH_AUDIO
from producer.requestpack import Pack
from producer.requestreading import read_request
from producer.services import Services
from producer.submission import Submitted, hand_in

#: Characters of a text that is spoken instead; what takes longer to say than a model pass fails by name.
MAX_REDO_CHARS: Final = 1_000


def redo(services: Services, narration_id: str, texts: Mapping[int, str | None]) -> Submitted:
    """Hand in the narration that speaks these segments once more; see `Client.redo`."""
    record = services.ledger.record(narration_id)
    if record.state not in STATES_WITH_AUDIO:
        raise RedoRefusedError(narration_id, f"it is {record.state.value} and has no audio")
    plan = read_plan(services, narration_id)
    _check(narration_id, plan, texts)
    before = read_request(services.store, narration_id, record.request_ref)
    redone = {**before.redone, **{index: _next(plan, before, index, text) for index, text in texts.items()}}
    redone_json = json.dumps({index: each.model_dump() for index, each in sorted(redone.items())})
    redo_id = keys.redo_id(narration_id, redone_json)
    if services.ledger.read([redo_id])[0] is not None:
        return Submitted(redo_id, is_new=False)
    request = before.model_copy(
        update={
            "id": redo_id,
            "batch_id": None,
            "submitted_at": datetime.now(UTC),
            "retry_of": None,
            "redo_of": narration_id,
            "redone": redone,
        }
    )
    # Two processes may do this at the same moment, and store the same.
    pack = Pack(keys.request_key(redo_id), request.model_dump_json().encode(), is_shared=True)
    return hand_in(services, pack, request)


def read_plan(services: Services, narration_id: str) -> Plan:
    """Return how a narration's text was cut.

    Raises:
        RedoRefusedError: its plan is gone.
        MalformedMessageError: it is none.
        StorageUnavailableError: S3 cannot be asked.
    """
    from producer.storage import ObjectNotFoundError

    try:
        return Plan.model_validate_json(services.store.get(keys.plan_key(narration_id)))
    except ObjectNotFoundError:
        raise RedoRefusedError(narration_id, "its plan is not in the bucket any more") from None
    except ValueError:  # its message may hold the text
        raise MalformedMessageError(f"the plan of narration {narration_id}", "it is none") from None


def _check(narration_id: str, plan: Plan, texts: Mapping[int, str | None]) -> None:
    if not texts:
        raise RedoRefusedError(narration_id, "no segment is named")
    if unknown := sorted(index for index in texts if not 0 <= index < len(plan.segments)):
        raise RedoRefusedError(narration_id, f"it has segments 0 to {len(plan.segments) - 1}, and no {unknown[0]}")
    for index, text in texts.items():
        if text is None:
            continue
        if not is_speakable(text):
            raise RedoRefusedError(narration_id, f"the new text of segment {index} holds no letter and no digit")
        if len(text) > MAX_REDO_CHARS:
            raise RedoRefusedError(
                narration_id, f"the new text of segment {index} has {len(text)} characters, at most {MAX_REDO_CHARS}"
            )


def _next(plan: Plan, before: NarrationRequest, index: int, text: str | None) -> Redo:
    """Return the take after the one that this narration has, of the same text unless there is a new one."""
    last = before.redone.get(index)
    return Redo(take=plan.segments[index].take + 1, text=text if text is not None else last and last.text)
