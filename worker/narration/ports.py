"""What the use cases need from the outside, as Protocols; `worker.process` hands in the real things.

The ledger is not among them: the use cases call nearly all of it and nothing would stand in for it in a worker, so they
name its class, and a copy of its signatures would only have to be kept equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from producer.contract.narration import EngineName
from producer.contract.routing import Priority
from worker.engine.protocol import Engine

# The docstrings of the real classes say what each method does; here they would only be repeated.
# ruff: noqa: D102


class Store(Protocol):
    """Objects in S3 (`producer.storage.ObjectStore`)."""

    def get(self, key: str) -> bytes: ...

    def get_range(self, key: str, offset: int, length: int) -> bytes: ...

    def put(self, key: str, data: bytes, content_type: str) -> None: ...

    def delete(self, key: str) -> None: ...


class Messenger(Protocol):
    """Messages to the workers (`producer.messages.Messenger`)."""

    def send_segments(self, narration_id: str, items: Sequence[str], priority: Priority, sent_ms: int) -> None: ...

    def send_assemble(self, narration_id: str, sent_ms: int) -> None: ...


class Engines(Protocol):
    """The engines of this process (`worker.engines.EngineSet`)."""

    def get(self, name: EngineName) -> Engine: ...
