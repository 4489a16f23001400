"""A stored request, wherever its record says that it lies: an object of its own, or a slice of a pack.

Knows nothing of what it is read for. (The worker has its own reader, which knows no register.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from producer.contract.errors import MalformedMessageError, NarrationNotFoundError
from producer.contract.narration import SCHEMA_VERSION, NarrationRequest

if TYPE_CHECKING:
    from producer.storage import ObjectStore

_SLICE: Final = re.compile(r"(?P<key>[^#]+)(?:#(?P<offset>\d+)\+(?P<length>\d+))?")


def read_request(store: ObjectStore, narration_id: str, reference: str) -> NarrationRequest:
    """Return a narration's request.

    Raises:
        MalformedMessageError: it is none, or of a newer version.
        NarrationNotFoundError: it is not there any more.
        StorageUnavailableError: S3 cannot be asked.
    """
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
