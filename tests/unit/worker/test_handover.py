from __future__ import annotations

from producer.contract.errors import QueueUnavailableError
from producer.ledger import Resend
from worker.handover import hand_over
from worker.narration.drain import Drain
from worker.narration.lease import Lease


class FakeLedger:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.released: list[tuple[str, str, str]] = []

    def release(self, narration_id: str, item: str, token: str) -> bool:
        if self.error is not None:
            raise self.error
        self.released.append((narration_id, item, token))
        return True

    def reconcile_many(self, narration_ids, *, grace_s, heads):
        assert grace_s == 0.0
        return [Resend(narration_id, "assemble", "narration.assemble", 7) for narration_id in narration_ids]


def lease(narration_id: str, item: str) -> Lease:
    return Lease(narration_id, item, f"token-{item}", 1, Drain(0.0))


def test_every_item_is_released_and_gets_a_new_message():
    ledger, sent = FakeLedger(), []
    leases = [lease("a", "1"), lease("a", "2"), lease("b", "assemble")]
    hand_over(leases, ledger=ledger, send=sent.extend, heads=dict)
    assert ledger.released == [("a", "1", "token-1"), ("a", "2", "token-2"), ("b", "assemble", "token-assemble")]
    assert [resend.narration_id for resend in sent] == ["a", "b"]


def test_a_redis_that_is_away_does_not_stop_the_end_of_the_process():
    ledger = FakeLedger(QueueUnavailableError("redis", "away"))
    hand_over([lease("a", "1")], ledger=ledger, send=lambda resends: None, heads=dict)
