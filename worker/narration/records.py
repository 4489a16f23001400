"""Reads the stored records of a narration. Knows how they are addressed and versioned, and not what they are for."""

from __future__ import annotations

import re
from typing import Final, TypeVar

from pydantic import ValidationError

from producer.contract.errors import MalformedMessageError
from producer.contract.keys import plan_key
from producer.contract.narration import SCHEMA_VERSION, NarrationRequest
from producer.contract.plan import Plan
from worker.narration.ports import Store

#: `key` or `key#offset+length`: a whole object or a slice of a pack.
_REFERENCE: Final = re.compile(r"([^#]+)(?:#(\d+)\+(\d+))?")

Record = TypeVar("Record", NarrationRequest, Plan)


def read_request(store: Store, reference: str) -> NarrationRequest:
    """Return a narration's request.

    Raises:
        MalformedMessageError: it is not one, or of a newer version.
        ObjectNotFoundError: it is not there.
        StorageUnavailableError: S3 cannot be used.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise MalformedMessageError("the reference to a request", "it is no key")
    key, offset, length = match.groups()
    data = store.get(key) if offset is None else store.get_range(key, int(offset), int(length))
    return _decode(NarrationRequest, data, reference)


def read_plan(store: Store, narration_id: str) -> Plan:
    """Return a narration's plan.

    Raises:
        MalformedMessageError: it is not one, or of a newer version.
        ObjectNotFoundError: it is not there.
        StorageUnavailableError: S3 cannot be used.
    """
    key = plan_key(narration_id)
    return _decode(Plan, store.get(key), key)


def _decode(kind: type[Record], data: bytes, what: str) -> Record:
    try:
        record = kind.model_validate_json(data)
    except ValidationError as error:
        # Without the values: they may be the text.
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        where = ", ".join(".".join(str(part) for part in fault["loc"]) or "the whole" for fault in faults[:5])
        raise MalformedMessageError(what, f"faulty at {where}") from None
    if record.schema_version > SCHEMA_VERSION:
        reason = f"it has version {record.schema_version} and this worker knows {SCHEMA_VERSION}"
        raise MalformedMessageError(what, reason)
    return record
