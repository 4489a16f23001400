"""In-memory stand-ins for what the worker's use cases need; each does as little as a test of them can do with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from producer.contract.errors import StorageUnavailableError
from producer.contract.keys import plan_key, request_key
from producer.contract.manifest import TakeFacts
from producer.contract.narration import EngineName, ModelName, Narration, NarrationRequest
from producer.contract.plan import Boundary, Plan, Segment
from producer.contract.routing import Priority
from producer.contract.status import State
from producer.ledger import Claim, ClaimOutcome, Dispatch
from producer.storage import ObjectNotFoundError
from worker.engine.protocol import EngineHealth
from worker.engine.request import SegmentRequest, Take
from worker.errors import AssemblyError, EngineUnavailableError

NARRATION_ID = "a" * 26
RATE_HZ = 8_000


def dispatch(*items: str, is_accepted: bool = True, needs_assembly: bool = False) -> Dispatch:
    return Dispatch(is_accepted, list(items), [], 1_000, Priority.NORMAL, needs_assembly)


@dataclass
class FakeLedger:
    """Grants what it is told to grant and notes every call."""

    outcome: ClaimOutcome = ClaimOutcome.GRANTED
    attempt: int = 1
    answer: Dispatch = field(default_factory=dispatch)
    request_ref: str = request_key(NARRATION_ID)
    state: State = State.RUNNING
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    #: Raised by the outcome calls (complete, fail, release, ...), to stand for a Redis that is away.
    error: Exception | None = None
    stored_takes: Mapping[int, TakeFacts] = field(default_factory=dict)
    stored_failures: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    is_committed: bool = True

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def last(self, name: str) -> dict[str, Any]:
        return next(fields for called, fields in reversed(self.calls) if called == name)

    def _note(self, name: str, **fields: Any) -> None:
        self.calls.append((name, fields))
        if self.error is not None:
            raise self.error

    def record(self, narration_id: str) -> Any:
        return SimpleNamespace(request_ref=self.request_ref, engine_identity="fake/1", state=self.state)

    def claim(
        self, narration_id: str, item: str, worker: str, *, engine_identity: str | None = None, is_alone: bool = False
    ) -> Claim:
        self.calls.append(("claim", {"item": item, "engine_identity": engine_identity, "is_alone": is_alone}))
        outcome = self.outcome
        if outcome is ClaimOutcome.SUSPECT and is_alone:
            outcome = ClaimOutcome.GRANTED
        is_granted = outcome is ClaimOutcome.GRANTED
        return Claim(outcome, "token" if is_granted else None, self.attempt, self.claim_dispatch)

    claim_dispatch: Dispatch = field(default_factory=dispatch)

    def planned(self, narration_id: str, token: str, num_segments: int) -> Dispatch:
        self._note("planned", token=token, num_segments=num_segments)
        return self.answer

    def complete(self, narration_id: str, index: int, token: str, take: TakeFacts) -> Dispatch:
        self._note("complete", index=index, token=token, take=take)
        return self.answer

    def fail(self, narration_id: str, item: str, token: str, **fields: Any) -> Dispatch:
        self._note("fail", item=item, token=token, **fields)
        return self.answer

    def release(self, narration_id: str, item: str, token: str, **fields: Any) -> bool:
        self._note("release", item=item, token=token, **fields)
        return True

    def takes(self, narration_id: str) -> Mapping[int, TakeFacts]:
        return self.stored_takes

    def failures(self, narration_id: str) -> Mapping[int, tuple[str, str]]:
        return self.stored_failures

    def attempts(self, narration_id: str) -> Mapping[str, int]:
        return {"0": 1}

    def log(self, narration_id: str) -> Sequence[Mapping[str, Any]]:
        return [{"event": "claimed", "item": "0"}]

    def reopen(self, narration_id: str, token: str, indexes: Sequence[int]) -> Dispatch:
        self._note("reopen", token=token, indexes=indexes)
        return self.answer

    def commit(self, narration_id: str, token: str, **fields: Any) -> bool:
        self._note("commit", token=token, **fields)
        return self.is_committed


class FakeStore:
    """Objects in a dictionary; its first `num_failures` writes fail."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.num_failures = 0
        self.num_puts = 0
        self.num_gets = 0
        self.is_away = False

    def get(self, key: str) -> bytes:
        self.num_gets += 1
        if self.is_away:
            raise StorageUnavailableError("s3", "away")
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return self.objects[key]

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.get(key)[offset : offset + length]

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.num_puts += 1
        if self.num_failures:
            self.num_failures -= 1
            raise StorageUnavailableError("s3", "away")
        self.objects[key] = data

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def download(self, key: str, path: Any) -> None:
        path.write_bytes(self.get(key))

    def upload(self, key: str, content_type: str) -> Any:
        raise NotImplementedError


class FakeMessenger:
    """Notes what was sent."""

    def __init__(self) -> None:
        self.segments: list[str] = []
        self.num_assemble = 0
        self.error: Exception | None = None

    def send_segments(self, narration_id: str, items: Sequence[str], priority: Priority, sent_ms: int) -> None:
        if self.error is not None:
            raise self.error
        self.segments += items

    def send_assemble(self, narration_id: str, sent_ms: int) -> None:
        self.num_assemble += 1


class FakeEngine:
    """Speaks at once, or raises what it was told to raise, or (`is_held`) leaves the test to end the futures."""

    name = EngineName.TONE
    sample_rate_hz = RATE_HZ
    is_watermarked = False
    num_slots = 1

    def __init__(self, *, error: BaseException | None = None, is_held: bool = False) -> None:
        self._error = error
        self._is_held = is_held
        self.requests: list[SegmentRequest] = []
        self.futures: list[Future[Take]] = []

    def load(self) -> None: ...

    def warm_up(self) -> None: ...

    def identity(self, model: ModelName) -> str:
        return "fake/1"

    def submit(self, request: SegmentRequest) -> Future[Take]:
        self.requests.append(request)
        future: Future[Take] = Future()
        self.futures.append(future)
        if self._error is not None:
            future.set_running_or_notify_cancel()
            future.set_exception(self._error)
        elif not self._is_held:
            future.set_running_or_notify_cancel()
            future.set_result(Take(np.zeros(RATE_HZ, np.float32), RATE_HZ, request.seed, 0.5, False))
        return future

    def health(self) -> EngineHealth:
        return EngineHealth(True, 0, 0, 0.0)

    def close(self, timeout_s: float) -> None: ...


class FakeEngines:
    """One engine for every name but Chatterbox."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def get(self, name: EngineName) -> FakeEngine:
        if name is EngineName.CHATTERBOX:
            raise EngineUnavailableError("it waits for a worker with engine chatterbox")
        return self._engine


class FakeCodec:
    """A file is its number of samples in words, and what was to be noted beside them."""

    def encode(self, pcm: Any, sample_rate_hz: int, comment: str | None) -> bytes:
        return f"samples {len(pcm)} {comment or ''}".strip().encode()

    def read(self, data: bytes) -> Any:
        if not data.startswith(b"samples "):
            raise AssemblyError("it is no audio")
        _, num_samples, *comment = data.decode().split(" ", 2)
        return SimpleNamespace(
            pcm=np.zeros(int(num_samples), np.float32), sample_rate_hz=RATE_HZ, comment=comment[0] if comment else None
        )


def request_of(text: str = "One. Two.", **fields: Any) -> NarrationRequest:
    return NarrationRequest(
        id=NARRATION_ID,
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        narration=Narration(text=text, **fields),
        voice_sha256=None,
    )


def plan_of(*texts: str) -> Plan:
    segments = tuple(
        Segment(index=index, text=text, start=0, end=len(text), boundary=Boundary.SENTENCE)
        for index, text in enumerate(texts)
    )
    return Plan(narration_id=NARRATION_ID, text_sha256="0" * 64, num_chars=9, segments=segments)


def store_with(request: NarrationRequest, plan: Plan | None = None) -> FakeStore:
    """Return a store that holds a narration's records."""
    store = FakeStore()
    store.objects[request_key(request.id)] = request.model_dump_json().encode()
    if plan is not None:
        store.objects[plan_key(request.id)] = plan.model_dump_json().encode()
    return store
