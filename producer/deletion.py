"""Removing a narration: what lies in S3 first, its record last, so that what breaks off can be done again.

Segments are shared by all narrations with the same content and stay; the janitor knows which are of no more use.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from producer.contract import keys
from producer.contract.narration import AudioFormat
from producer.services import Services

if TYPE_CHECKING:
    from producer.ledger import LedgerRecord


def delete(services: Services, narration_id: str) -> None:
    """Remove a narration; see `Client.delete`."""
    services.ledger.cancel(narration_id)
    record = services.ledger.record(narration_id)
    batch_id = record.status.batch_id
    if record.request_ref.startswith("batches/"):
        # Its request is a slice of a pack, which others need: whoever reads packs is told that it is gone.
        note = json.dumps({"deleted_at": datetime.now(UTC).isoformat()}).encode()
        services.store.put(keys.deletion_key(narration_id), note, "application/json")
    for key in _objects_of(record):
        services.store.delete(key)
    services.ledger.delete(narration_id, batch_id)
    if batch_id is not None and not services.ledger.recent(batch_id=batch_id, limit=1):
        for key in list(services.store.list_keys(keys.request_pack_prefix(batch_id))):
            services.store.delete(key)


def _objects_of(record: LedgerRecord) -> list[str]:
    narration_id = record.narration_id
    found = [
        keys.audio_key(narration_id, AudioFormat(record.status.format)),
        keys.manifest_key(narration_id),
        keys.takes_key(narration_id),
        keys.plan_key(narration_id),
        keys.request_key(narration_id),
    ]
    has_own_request = record.request_ref.startswith(keys.narration_prefix(narration_id))
    if has_own_request and record.request_ref not in found:
        found.append(record.request_ref)
    return found
