"""Every live slot gets its lanes, in a shape that there is a graph for."""

from __future__ import annotations

import pytest
import torch  # noqa: TID253 - the tests compare tensors

from worker.engine.t3.lanes import Lanes, LiveSlot, choose_shape, shapes


def slot(*rows: int, has_top_p: bool = False) -> LiveSlot:
    return LiveSlot(rows, has_top_p)


def assigned(slots: list[LiveSlot], *, num_rows: int = 16) -> tuple[list[int], list[int], list[int]]:
    lanes = Lanes(num_rows=num_rows, device=torch.device("cpu"))
    rows, owners, partners = lanes.of(lanes.assign(slots))
    return rows.tolist(), owners.tolist(), partners.tolist()


def test_with_guidance_the_first_half_of_the_lanes_draws() -> None:
    rows, owners, partners = assigned([slot(0, 1), slot(4, 2), slot(6, 7)])
    assert rows == [0, 4, 6, 16, 1, 2, 7, 16]
    assert owners == [0, 4, 6, 16]
    assert [rows[lane] for lane in partners[:3]] == [1, 2, 7]


def test_without_guidance_a_slot_is_its_own_partner_and_takes_one_lane() -> None:
    rows, owners, partners = assigned([slot(0), slot(4, 2), slot(6)])
    assert rows == [0, 4, 6, 2]
    assert owners == [0, 4, 6, 16]
    assert [rows[lane] for lane in partners] == [0, 2, 6, 2]


@pytest.mark.parametrize("num_rows", [2, 4, 6, 16, 34, 256, 260])
def test_every_number_of_slots_has_a_shape(num_rows: int) -> None:
    available = shapes(num_rows)
    assert available == sorted(available, key=lambda shape: shape.num_lanes, reverse=True)
    for size in range(1, num_rows // 2 + 1):
        plain = choose_shape([slot(2 * index, 2 * index + 1) for index in range(size)], num_rows=num_rows)
        assert plain.is_plain
        assert 2 * size <= plain.num_lanes == 2 * plain.num_slots
        mixed = choose_shape(
            [slot(2 * index, 2 * index + 1) for index in range(size - 1)] + [slot(0)], num_rows=num_rows
        )
        assert not mixed.is_plain
        assert {plain, mixed} <= set(available)
    full = choose_shape([slot(row, has_top_p=row == 0) for row in range(num_rows)], num_rows=num_rows)
    assert (full.num_lanes, full.has_top_p) == (num_rows, True)


def test_a_new_list_leaves_no_lane_of_the_old_one() -> None:
    lanes = Lanes(num_rows=8, device=torch.device("cpu"))
    lanes.assign([slot(0, 1), slot(2, 3), slot(4, 5), slot(6, 7)])
    rows, owners, _ = lanes.of(lanes.assign([slot(3)]))
    assert set(rows.tolist()) == {3, 8}
    assert set(owners.tolist()) == {3, 8}
