from __future__ import annotations

import pytest
from workerfakes import NARRATION_ID, FakeLedger, FakeMessenger, dispatch, plan_of, request_of, store_with

from producer.contract.keys import plan_key, request_key
from producer.contract.narration import NarrationRequest
from producer.contract.plan import Plan
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.narration.planning import Planner


class Bench:
    def __init__(self, ledger: FakeLedger, store) -> None:
        self.ledger = ledger
        self.store = store
        self.messenger = FakeMessenger()
        attempts = Attempts(
            ledger=ledger,
            messenger=self.messenger,
            book=LeaseBook(),
            drain=Drain(1.0),
            worker="host:1",
            end_process=lambda reason: None,
        )
        self.planner = Planner(attempts=attempts, ledger=ledger, store=store, split=self.split)

    @staticmethod
    def split(text: str, *, language: str, narration_id: str) -> Plan:
        assert (text, language, narration_id) == ("One. Two.", "en", NARRATION_ID)
        return plan_of("One.", "Two.")


def test_the_plan_is_stored_and_the_first_segments_are_sent():
    bench = Bench(FakeLedger(answer=dispatch("0", "1")), store_with(request_of()))
    bench.planner.run(NARRATION_ID)
    assert bench.ledger.last("planned")["num_segments"] == 2
    assert bench.messenger.segments == ["0", "1"]
    assert Plan.model_validate_json(bench.store.objects[plan_key(NARRATION_ID)]) == plan_of("One.", "Two.")


def test_a_request_from_a_pack_is_stored_by_itself():
    line = request_of().model_dump_json().encode()
    store = store_with(request_of())
    store.objects = {"batches/b/requests-00000.jsonl": b"x" * 10 + line + b"\nrest"}
    ledger = FakeLedger(request_ref=f"batches/b/requests-00000.jsonl#10+{len(line)}")
    Bench(ledger, store).planner.run(NARRATION_ID)
    assert NarrationRequest.model_validate_json(store.objects[request_key(NARRATION_ID)]) == request_of()
    assert ledger.names() == ["claim", "planned"]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (b"{}", "faulty at"),
        (b"\xff", "faulty at"),
        (request_of().model_copy(update={"schema_version": 99}).model_dump_json().encode(), "version 99"),
        (request_of().model_copy(update={"id": "b" * 26}).model_dump_json().encode(), "bbb"),
    ],
)
def test_the_narration_fails_by_name_when_its_request_cannot_be_used(stored, words):
    store = store_with(request_of())
    store.objects[request_key(NARRATION_ID)] = stored
    bench = Bench(FakeLedger(), store)
    bench.planner.run(NARRATION_ID)
    failure = bench.ledger.last("fail")
    assert failure["is_final"]
    assert failure["code"] == "malformed_message"
    assert words in failure["reason"]


def test_the_text_is_not_in_the_reason_when_a_request_is_faulty():
    store = store_with(request_of())
    stored = request_of().model_dump_json().replace('"language":"en"', '"language":"a secret"')
    store.objects[request_key(NARRATION_ID)] = stored.encode()
    bench = Bench(FakeLedger(), store)
    bench.planner.run(NARRATION_ID)
    assert "secret" not in bench.ledger.last("fail")["reason"]
