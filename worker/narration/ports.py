"""What the use cases need from the outside, as Protocols; `worker.app` hands in the real things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from producer.contract.manifest import AudioObject, TakeFacts
from producer.contract.narration import EngineName
from producer.contract.routing import Priority
from producer.contract.status import State
from producer.ledger import Claim, Dispatch, LedgerRecord
from worker.engine.protocol import Engine

# The docstrings of the real classes say what each method does; here they would only be repeated.
# ruff: noqa: D102


class Ledger(Protocol):
    """The record of every narration (`producer.ledger.Ledger`)."""

    def record(self, narration_id: str) -> LedgerRecord: ...

    def claim(self, narration_id: str, item: str, worker: str, *, engine_identity: str | None = None) -> Claim: ...

    def planned(self, narration_id: str, token: str, num_segments: int) -> Dispatch: ...

    def complete(self, narration_id: str, index: int, token: str, take: TakeFacts) -> Dispatch: ...

    def fail(
        self, narration_id: str, item: str, token: str, *, code: str, reason: str, is_final: bool, delay_s: float = 0.0
    ) -> Dispatch: ...

    def release(
        self,
        narration_id: str,
        item: str,
        token: str,
        *,
        delay_s: float = 0.0,
        reason_code: str | None = None,
        reason: str | None = None,
    ) -> bool: ...

    def takes(self, narration_id: str) -> Mapping[int, TakeFacts]: ...

    def failures(self, narration_id: str) -> Mapping[int, tuple[str, str]]: ...

    def attempts(self, narration_id: str) -> Mapping[str, int]: ...

    def log(self, narration_id: str) -> Sequence[Mapping[str, Any]]: ...

    def commit(
        self,
        narration_id: str,
        token: str,
        *,
        state: State,
        audio: AudioObject | None,
        reason_code: str | None = None,
        reason: str | None = None,
    ) -> bool: ...


class Store(Protocol):
    """Objects in S3 (`producer.storage.ObjectStore`)."""

    def get(self, key: str) -> bytes: ...

    def get_range(self, key: str, offset: int, length: int) -> bytes: ...

    def put(self, key: str, data: bytes, content_type: str) -> None: ...

    def delete(self, key: str) -> None: ...

    def download(self, key: str, path: Path) -> None: ...

    def upload(self, key: str, content_type: str) -> Any: ...


class Messenger(Protocol):
    """Messages to the workers (`producer.messages.Messenger`)."""

    def send_segments(self, narration_id: str, items: Sequence[str], priority: Priority, sent_ms: int) -> None: ...

    def send_assemble(self, narration_id: str, sent_ms: int) -> None: ...


class Engines(Protocol):
    """The engines of this process (`worker.engines.EngineSet`)."""

    def get(self, name: EngineName) -> Engine: ...
