"""Narrations submitted without the client: the ledger, the object store and the messenger, as the client uses them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from producer.connection import connect_redis
from producer.contract.keys import manifest_key, new_id, request_key, takes_key
from producer.contract.manifest import Manifest
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.settings import Settings
from producer.contract.status import NarrationStatus
from producer.ledger import Ledger, NewNarration
from producer.messages import Messenger, producer_app
from producer.storage import ObjectStore
from worker.audio import decode_segment

END_S = 120.0


def sentences(num_segments: int) -> str:
    """Return a text that is split into about that many segments: each paragraph is one."""
    return "\n\n".join(f"This is paragraph number {number} of a text for a test." for number in range(num_segments))


class Farm:
    """What a test needs to hand in narrations and look at what became of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis = connect_redis(settings)
        self.ledger = Ledger(self.redis, settings)
        self.store = ObjectStore.connect(settings)
        self.messenger = Messenger(producer_app(settings), settings)

    def submit(self, *narrations: Narration, is_sent: bool = True) -> list[str]:
        """Hand in narrations and return their ids."""
        entries = []
        for narration in narrations:
            request = NarrationRequest.new(narration, narration_id=new_id())
            self.store.put(request_key(request.id), request.model_dump_json().encode(), "application/json")
            entries.append(NewNarration(request, request_key(request.id)))
        creations = self.ledger.create(entries)
        if is_sent:
            self.messenger.send_plan([(creation.narration_id, creation.sent_ms) for creation in creations])
        return [creation.narration_id for creation in creations]

    def status(self, narration_id: str) -> NarrationStatus:
        """Return a narration's status."""
        (status,) = self.ledger.read([narration_id])
        assert status is not None
        return status

    def wait_for(self, narration_id: str, condition, what: str, timeout_s: float = END_S) -> NarrationStatus:
        """Wait until a narration's status fulfils a condition."""
        deadline_s = time.monotonic() + timeout_s
        while not condition(status := self.status(narration_id)):
            assert time.monotonic() < deadline_s, f"not {what} after {timeout_s} s: {status}"
            time.sleep(0.05)
        return status

    def wait(self, narration_id: str, timeout_s: float = END_S) -> NarrationStatus:
        """Wait until a narration has ended."""
        return self.wait_for(narration_id, lambda status: status.state.is_terminal, "ended", timeout_s)

    def manifest(self, narration_id: str) -> Manifest:
        """Return a narration's manifest."""
        return Manifest.model_validate_json(self.store.get(manifest_key(narration_id)))

    def takes_log(self, narration_id: str) -> Sequence[str]:
        """Return the lines of a narration's log of takes."""
        return self.store.get(takes_key(narration_id)).decode().splitlines()

    def segment_pcm(self, key: str):
        """Return one segment's samples and rate."""
        return decode_segment(self.store.get(key))
