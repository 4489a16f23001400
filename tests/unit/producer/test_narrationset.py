"""Sets of narrations: all faults of all members, and which members contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from producer.contract.errors import InvalidBatchError
from producer.contract.fault import Fault
from producer.contract.narration import Narration
from producer.narrationset import MAX_FAULTS, NarrationSet


def faults_of(*narrations: Narration | dict[str, Any]) -> list[Fault]:
    with pytest.raises(InvalidBatchError) as caught:
        NarrationSet.of(narrations).check()
    return caught.value.faults


def test_every_fault_of_every_narration_is_named_with_its_position():
    faults = faults_of({"text": ""}, Narration(text="Fine."), {"text": "One.", "seed": -1, "format": "ogg"})
    assert {(fault.field, fault.code) for fault in faults} == {
        ("narrations[0].text", "text_empty"),
        ("narrations[2].seed", "out_of_range"),
        ("narrations[2].format", "format_unknown"),
    }


def test_something_that_is_no_narration_is_a_fault():
    assert [fault.code for fault in faults_of({1: "text"})] == ["unknown_field"]  # type: ignore[dict-item]


def test_the_same_key_with_other_content_is_a_fault():
    (fault,) = faults_of({"text": "One.", "idempotency_key": "k"}, {"text": "Two.", "idempotency_key": "k"})
    assert (fault.field, fault.code) == ("narrations[1].idempotency_key", "idempotency_conflict")
    assert "narrations[0]" in fault.message


def test_the_same_narration_twice_under_one_key_is_no_fault():
    fields = {"text": "One.", "idempotency_key": "k", "custom_id": "c"}
    narrations = NarrationSet.of([fields, fields])
    narrations.check()
    assert len(narrations.members) == 2


def test_the_same_custom_id_twice_is_a_fault():
    (fault,) = faults_of({"text": "One.", "custom_id": "c"}, {"text": "Two.", "custom_id": "c"})
    assert (fault.field, fault.code) == ("narrations[1].custom_id", "custom_id_duplicate")


def test_a_fault_added_later_stands_in_the_order_of_the_set():
    narrations = NarrationSet.of([{"text": "One."}, {"text": ""}])
    narrations.refuse(narrations.members[0], Fault("voice_unknown", "voice", "is not there"))
    with pytest.raises(InvalidBatchError) as caught:
        narrations.check()
    assert [fault.field for fault in caught.value.faults] == ["narrations[0].voice", "narrations[1].text"]


def test_a_fault_names_the_file_when_the_narration_is_one():
    narrations = NarrationSet()
    narrations.add({"text": ""}, file="chapter.txt")
    with pytest.raises(InvalidBatchError, match=r"chapter\.txt: text: is empty"):
        narrations.check()


def test_the_empty_set_is_refused():
    assert [fault.code for fault in faults_of()] == ["batch_empty"]


def test_the_list_of_faults_ends_somewhere():
    faults = faults_of(*[{"text": ""}] * (MAX_FAULTS + 5))
    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1].message == "and 5 more"
