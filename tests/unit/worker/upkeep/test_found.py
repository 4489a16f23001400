"""What the names and ages of a narration's objects say of it."""

from __future__ import annotations

import pytest

from producer.storage.inventory import StoredObject
from worker.upkeep.found import SUBMIT_GRACE_S, Found, Stage, found_in

ID, OTHER = "a" * 26, "b" * 26


def objects(narration_id: str, *names: str, age_s: float = 100.0) -> list[StoredObject]:
    return [StoredObject(f"narrations/{narration_id}/{name}", 1, age_s) for name in names]


@pytest.mark.parametrize(
    ("names", "stage"),
    [
        (("request.json",), Stage.SUBMITTED),
        (("request-0123456789abcdef.json",), Stage.SUBMITTED),
        (("request.json", "plan.json", "engine.json"), Stage.PLANNED),
        (("request.json", "plan.json", "manifest.json", "audio.mp3", "takes.jsonl"), Stage.FINISHED),
        (("request.json", "plan.json", "ended.json"), Stage.ENDED),
        (("ended.json",), Stage.ENDED),
        (("deleted.json", "request.json", "ended.json"), Stage.DELETED),
        (("plan.json", "manifest.json"), Stage.UNKNOWN),
    ],
)
def test_the_stage_follows_from_the_names(names, stage):
    (found,) = found_in(objects(ID, *names))
    assert (found.narration_id, found.stage) == (ID, stage)
    assert found.is_marked == (stage in {Stage.ENDED, Stage.DELETED})


def test_a_request_is_arriving_until_its_submit_must_have_ended():
    (found,) = found_in(objects(ID, "request.json", age_s=SUBMIT_GRACE_S - 1))
    assert found.stage is Stage.ARRIVING


def test_of_two_requests_under_one_key_the_older_counts_and_that_of_the_planner_most():
    young, old = objects(ID, "request-1111111111111111.json"), objects(ID, "request-2222222222222222.json", age_s=101.0)
    (found,) = found_in(young + old)
    assert found.request_key == old[0].key
    (found,) = found_in(objects(ID, "request.json", age_s=1.0) + old)
    assert found == Found(ID, Stage.ARRIVING, f"narrations/{ID}/request.json")


def test_each_narration_is_found_once_and_nothing_else():
    listing = (
        objects(ID, "manifest.json", "request.json", age_s=7.0) + objects("readme", "x") + objects(OTHER, "plan.json")
    )
    assert [(found.narration_id, found.ended_s) for found in found_in(listing)] == [(ID, 7.0), (OTHER, 0.0)]
