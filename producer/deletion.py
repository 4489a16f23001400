"""Removing a narration: what lies in S3 first, its record last, so that what breaks off can be done again.

Segments are shared by all narrations with the same content and stay; the janitor knows which are of no more use.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from producer.contract import keys
from producer.contract.ending import ending_key
from producer.endings import mark_ended
from producer.services import Services


def delete(services: Services, narration_id: str) -> None:
    """Remove a narration; see `Client.delete`."""
    services.ledger.cancel(narration_id)
    record = services.ledger.record(narration_id)
    batch_id = record.status.batch_id
    last = [ending_key(narration_id)]
    if record.request_ref.startswith("batches/"):
        # Its request is a slice of a pack, which others need: whoever reads packs is told that it is gone.
        note = json.dumps({"deleted_at": datetime.now(UTC).isoformat()}).encode()
        services.store.put(keys.deletion_key(narration_id), note, "application/json")
        last.append(keys.deletion_key(narration_id))
    # Said before anything goes and taken back last: if Redis is emptied in the middle, nothing of it comes back.
    mark_ended(services.store, narration_id, None, batch_id=batch_id)
    for key in services.store.list_keys(keys.narration_prefix(narration_id)):
        if key not in last:
            services.store.delete(key)
    services.store.delete(ending_key(narration_id))
    services.ledger.delete(narration_id, batch_id)
    if batch_id is not None and not services.ledger.recent(batch_id=batch_id, limit=1):
        for key in list(services.store.list_keys(keys.request_pack_prefix(batch_id))):
            services.store.delete(key)
