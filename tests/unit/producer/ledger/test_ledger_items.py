"""Items, their queues, and how the reconcile script is told of the queues' heads."""

from __future__ import annotations

import pytest

from producer.contract.errors import MalformedMessageError
from producer.contract.routing import ALL_QUEUES
from producer.ledger.items import LANE_QUEUES, check_item, lane_heads


@pytest.mark.parametrize("item", ["plan", "assemble", "0", "7", "123456789"])
def test_an_item_is_accepted(item: str) -> None:
    assert check_item(item) == item


@pytest.mark.parametrize("item", ["", "Plan", "-1", "07", "1.0", "1 ", "plan\n", "0\n", "1234567890", "\u0663"])
def test_what_is_no_item_is_refused(item: str) -> None:
    with pytest.raises(MalformedMessageError):
        check_item(item)


def test_each_lane_has_its_queue() -> None:
    assert LANE_QUEUES == {
        "plan": "narration.plan",
        "assemble": "narration.assemble",
        "suspect": "narration.synthesize.suspect",
        "high": "narration.synthesize.high",
        "normal": "narration.synthesize.normal",
        "low": "narration.synthesize.low",
    }


def test_a_queue_that_was_not_looked_at_is_left_out() -> None:
    heads = {"narration.plan": None, "narration.synthesize.low": 17, "another": 1}
    assert lane_heads(heads) == ["plan", "empty", "low", "17"]


def test_every_queue_is_a_lane() -> None:
    assert len(lane_heads(dict.fromkeys(ALL_QUEUES, 1))) == 2 * len(ALL_QUEUES)
