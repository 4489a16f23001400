"""A farm without workers: tests play the worker's part on a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import redis

from producer.contract import keys
from producer.contract.manifest import AudioObject, TakeFacts
from producer.contract.narration import Narration, NarrationRequest
from producer.contract.routing import ALL_QUEUES
from producer.contract.settings import Settings
from producer.ledger import Claim, ClaimOutcome, Dispatch, Ledger, NewNarration

WORKER = "worker-1"

Send = Callable[[str, Dispatch], None]

#: Every queue empty: whatever waits is lost.
NO_MESSAGES = dict.fromkeys(ALL_QUEUES)


def new_narration(
    text: str = "It was a bright cold day.",
    *,
    narration_id: str | None = None,
    batch_id: str | None = None,
    retry_of: str | None = None,
    **fields: object,
) -> NewNarration:
    narration = Narration(text=text, **fields)
    narration_id = narration_id or keys.new_id()
    request = NarrationRequest.new(narration, narration_id=narration_id, batch_id=batch_id)
    return NewNarration(request.model_copy(update={"retry_of": retry_of}), keys.request_key(narration_id))


def take(*, seconds: float = 1.5, is_reused: bool = False, flags: tuple[str, ...] = ()) -> TakeFacts:
    return TakeFacts(
        key="segments/ab/abc.flac",
        num_samples=round(24_000 * seconds),
        sample_rate_hz=24_000,
        seed=7,
        is_reused=is_reused,
        synthesis_s=0.2,
        worker=WORKER,
        flags=flags,
    )


def audio() -> AudioObject:
    return AudioObject(
        key="narrations/x/audio.mp3",
        format="mp3",
        content_type="audio/mpeg",
        size_bytes=4_321,
        sha256="0" * 64,
        sample_rate_hz=24_000,
        num_samples=60_000,
        duration_s=2.5,
    )


def enter(ledger: Ledger, **fields: object) -> str:
    """Enter a narration and return its id."""
    entry = new_narration(**fields)
    ledger.create([entry])
    return entry.request.id


def begin(ledger: Ledger, num_segments: int, *, send: Send | None = None, **fields: object) -> str:
    """Enter a narration, have its plan accepted, send what is to be sent then, and return its id."""
    narration_id = enter(ledger, **fields)
    dispatch = ledger.planned(narration_id, granted(ledger, narration_id, "plan"), num_segments)
    assert dispatch.is_accepted
    if send is not None:
        send(narration_id, dispatch)
    return narration_id


def claim(ledger: Ledger, narration_id: str, item: str) -> Claim:
    """Claim an item for a process that holds nothing else."""
    return ledger.claim(narration_id, item, WORKER, is_alone=True)


def granted(ledger: Ledger, narration_id: str, item: str) -> str:
    """Claim an item, which must succeed, and return the token."""
    answer = claim(ledger, narration_id, item)
    assert answer.outcome is ClaimOutcome.GRANTED
    assert answer.token is not None
    return answer.token


def complete(ledger: Ledger, narration_id: str, indexes: Iterable[int]) -> None:
    for index in indexes:
        assert ledger.complete(narration_id, index, granted(ledger, narration_id, str(index)), take()).is_accepted


def fail_for_good(ledger: Ledger, narration_id: str, item: str) -> None:
    token = granted(ledger, narration_id, item)
    assert ledger.fail(
        narration_id, item, token, code="no_end_of_speech", reason="it did not stop", is_final=True
    ).is_accepted


class Places:
    """Where each item of a narration is, read from Redis itself."""

    def __init__(self, client: redis.Redis, settings: Settings, narration_id: str) -> None:
        self._client = client
        self._keys = keys.RedisKeys(settings.redis_prefix)
        self.id = narration_id

    def waiting(self) -> dict[str, int]:
        return self._scores(self._keys.waiting(self.id))

    def delayed(self) -> dict[str, int]:
        return self._scores(self._keys.delayed(self.id))

    def leases(self) -> dict[str, int]:
        return self._scores(self._keys.leases(self.id))

    def reopened(self) -> dict[str, int]:
        return self._scores(self._keys.reopened(self.id))

    def lane(self, priority: str = "normal") -> dict[str, int]:
        """Return the narration's segments in its lane -> 1 if a worker holds it, 0 if it waits for one."""
        out = self._scores(f"{self._keys.lanes()}{priority}:out")
        return {name.partition(":")[2]: score for name, score in out.items() if name.startswith(self.id)}

    def num_done(self) -> int:
        return self._client.bitcount(self._keys.done(self.id))

    def field(self, name: str) -> str | None:
        value = self._client.hget(self._keys.record(self.id), name)
        return None if value is None else value.decode()

    def set_fields(self, **fields: int) -> None:
        self._client.hset(self._keys.record(self.id), mapping=fields)

    def end_lease(self, item: str) -> None:
        """Let a lease be over, as if its time had passed."""
        self._client.zadd(self._keys.leases(self.id), {item: 1}, xx=True)

    def end_pause(self, item: str) -> None:
        self._client.zadd(self._keys.delayed(self.id), {item: 1}, xx=True)

    def now_ms(self) -> int:
        seconds, microseconds = self._client.time()
        return seconds * 1000 + microseconds // 1000

    def _scores(self, key: str) -> dict[str, int]:
        return {item.decode(): int(score) for item, score in self._client.zrange(key, 0, -1, withscores=True)}
