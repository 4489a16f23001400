"""The requests in packs: those of a bulk submit that were not split yet have no object of their own.

Knows nothing of the ledger.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Final, Protocol

from pydantic import ValidationError

from producer.contract.keys import is_id
from producer.contract.narration import SCHEMA_VERSION, NarrationRequest
from producer.storage.inventory import StoredObject

logger = logging.getLogger(__name__)

PACKS: Final = "batches/"

_PACK: Final = re.compile(r"batches/[a-z2-7]{26}/requests-\d{5}\.jsonl")


class Source(Protocol):
    """Where the packs lie (`producer.storage.inventory.BucketInventory`)."""

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]: ...  # noqa: D102

    def get(self, key: str) -> bytes: ...  # noqa: D102


def packs_in(source: Source) -> Iterator[StoredObject]:
    """Yield all packs.

    Raises:
        StorageUnavailableError: S3 cannot be used.
    """
    for stored in source.list_objects(PACKS):
        if _PACK.fullmatch(stored.key):
            yield stored


def lines_of(source: Source, key: str) -> dict[str, bytes]:
    """Return the lines of a pack by the narration that each is about; what is no request is left out.

    Raises:
        ObjectNotFoundError: the pack is gone.
        StorageUnavailableError: S3 cannot be used.
    """
    lines = {}
    for line in source.get(key).splitlines():
        try:
            narration_id = json.loads(line)["id"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(narration_id, str) and is_id(narration_id):
            lines[narration_id] = line
    return lines


def request_in(line: bytes, key: str) -> NarrationRequest | None:
    """Return the request in a line; None, with a line in the log, if this version cannot read it."""
    try:
        request = NarrationRequest.model_validate_json(line)
    except ValidationError:
        logger.warning("request_unreadable", extra={"key": key})
        return None
    if request.schema_version > SCHEMA_VERSION:
        logger.warning("request_unreadable", extra={"key": key, "version": request.schema_version})
        return None
    return request
