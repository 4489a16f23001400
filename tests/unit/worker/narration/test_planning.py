from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import pytest
from workerfakes import NARRATION_ID, FakeLedger, FakeMessenger, dispatch, plan_of, request_of, store_with

from producer.contract.chapter import Chapter
from producer.contract.dictionary import Rule, Rules
from producer.contract.keys import dictionary_rules_key, plan_key, request_key
from producer.contract.narration import DictionaryReference, NarrationRequest, Redo
from producer.contract.plan import Plan
from worker.narration.attempt import Attempts
from worker.narration.drain import Drain
from worker.narration.lease import LeaseBook
from worker.narration.planning import Planner, Split
from worker.text import split as real_split
from worker.text.split import Rewrite


class Bench:
    def __init__(self, ledger: FakeLedger, store, split: Split | None = None) -> None:
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
        self.planner = Planner(attempts=attempts, ledger=ledger, store=store, split=split or self.split)

    @staticmethod
    def split(text: str, *, language: str, narration_id: str, chapters: Sequence[Chapter], rewrite: Rewrite) -> Plan:
        assert (text, language, narration_id) == ("One. Two.", "en", NARRATION_ID)
        assert tuple(chapters) == ()
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


def planned(request: NarrationRequest, *rules: Rule) -> tuple[Bench, Plan | None]:
    """Plan a request with the real splitter; return the plan that was stored."""
    stored = Rules(rules=rules).encode() if rules else b""
    if rules:
        reference = DictionaryReference(name="names", version=1, sha256=hashlib.sha256(stored).hexdigest())
        request = request.model_copy(update={"dictionary": reference})
    store = store_with(request)
    if rules:
        store.objects[dictionary_rules_key(reference.sha256)] = stored
    bench = Bench(FakeLedger(), store, real_split)
    bench.planner.run(NARRATION_ID)
    found = store.objects.get(plan_key(NARRATION_ID))
    return bench, Plan.model_validate_json(found) if found else None


def request_with(text: str, redone: dict[int, Redo] | None = None, **fields: object) -> NarrationRequest:
    request = request_of()
    narration = request.narration.model_copy(update={"text": text, **fields})
    return request.model_copy(update={"narration": narration, "redone": redone or {}})


def test_chapters_of_the_narration_reach_the_plan():
    text = "It was night.\n\nIt was day."
    chapters = (Chapter(title="Night", start=0), Chapter(title="Day", start=15, voice="ada"))
    _, plan = planned(request_with(text, chapters=chapters))
    assert plan is not None
    assert [(segment.text, segment.chapter, segment.voice) for segment in plan.segments] == [
        ("It was night.", 0, None),
        ("It was day.", 1, "ada"),
    ]
    assert [(chapter.title, chapter.first_segment) for chapter in plan.chapters] == [("Night", 0), ("Day", 1)]


def test_segments_that_are_spoken_once_more_get_their_take_and_their_words():
    redone = {0: Redo(take=2), 1: Redo(take=1, text="  Nguyen   went [x] home. ")}
    text = "Nguyen stayed here.\n\nNguyen left."
    _, plan = planned(request_with(text, redone), Rule(pattern="Nguyen", replacement="Win"))
    assert plan is not None
    assert [(segment.text, segment.take) for segment in plan.segments] == [
        ("Win stayed here.", 2),
        ("Win went x home.", 1),
    ]


@pytest.mark.parametrize(
    ("redone", "words"),
    [
        ({7: Redo(take=1)}, "segment 7 .* has 1 segments"),
        ({0: Redo(take=1, text="...")}, "no letter"),
        ({0: Redo(take=1, text="word " * 80)}, "longer than 280"),
    ],
)
def test_a_narration_fails_by_name_when_a_segment_cannot_be_spoken_once_more(redone: dict[int, Redo], words: str):
    bench, plan = planned(request_with("It was night.", redone))
    assert plan is None
    failure = bench.ledger.last("fail")
    assert (failure["code"], failure["is_final"]) == ("redo_impossible", True)
    assert re.search(words, failure["reason"])


def test_a_narration_fails_by_name_and_keeps_nothing_when_its_dictionary_leaves_nothing_to_say():
    bench, plan = planned(request_with("Night"), Rule(pattern="Night", replacement=""))
    assert plan is None
    assert bench.store.num_puts == 0
    failure = bench.ledger.last("fail")
    assert (failure["code"], failure["is_final"]) == ("nothing_to_say", True)
