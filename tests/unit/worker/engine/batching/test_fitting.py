from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.batching.fitting import LEAST_FRAMES, MOST_FRAMES, MOST_SLOTS, Costs, fit, kv_slot_bytes
from worker.errors import WorkerStartError

GIB = 2**30

#: The English T3 with keys and values in half precision, and what S3Gen needs for a frame.
FULL_SIZE = Costs(
    slot_bytes=kv_slot_bytes(num_layers=30, num_heads=16, head_size=64, num_positions=1_024, value_bytes=2),
    frame_bytes=150_000,
    fixed_bytes=256 * 2**20,
)

#: T3 in int8 and S3Gen, loaded; CUDA's own context.
WEIGHTS_BYTES = int(1.6 * GIB)


def test_a_slot_of_the_full_size_takes_a_quarter_of_a_gigabyte():
    assert FULL_SIZE.slot_bytes == 2 * 2 * 30 * 16 * 64 * 1_024 * 2 == 251_658_240


@pytest.mark.parametrize(
    ("card_gib", "least_slots", "most_slots"),
    [
        (6, 6, 14),
        (8, 14, 22),
        (12, 26, 36),
        (16, 36, 50),
        (24, 60, 80),
        (48, 120, 128),
        (80, 128, 128),
        (141, 128, 128),
    ],
)
def test_cards_from_small_to_large(card_gib, least_slots, most_slots):
    found = fit(card_gib * GIB - WEIGHTS_BYTES, FULL_SIZE)
    assert least_slots <= found.num_slots <= most_slots
    assert found.planned_bytes(FULL_SIZE) + WEIGHTS_BYTES <= 0.95 * card_gib * GIB
    assert found.max_frames >= LEAST_FRAMES
    assert card_gib < 80 or found.max_frames == MOST_FRAMES


def test_eight_slots_fit_into_four_gibibytes_with_the_weights():
    eight = fit(8 * GIB, FULL_SIZE, max_slots=8, max_frames=LEAST_FRAMES)
    assert eight.num_slots == 8
    assert WEIGHTS_BYTES + 8 * FULL_SIZE.slot_bytes + LEAST_FRAMES * FULL_SIZE.frame_bytes <= 4 * GIB


def test_a_card_that_is_full_is_said_to_be():
    with pytest.raises(WorkerStartError, match=r"has 0\.5 GiB free beside the weights, and one segment needs 1\.\d"):
        fit(GIB // 2, FULL_SIZE)


@given(
    free_bytes=st.integers(0, 200 * GIB),
    slot_bytes=st.integers(2**20, GIB),
    frame_bytes=st.integers(1_000, 10**6),
    max_slots=st.none() | st.integers(1, 512),
    max_frames=st.none() | st.integers(1, 10**5),
)
def test_the_plan_never_exceeds_what_is_free_or_allowed(free_bytes, slot_bytes, frame_bytes, max_slots, max_frames):
    costs = Costs(slot_bytes, frame_bytes)
    try:
        found = fit(free_bytes, costs, max_slots=max_slots, max_frames=max_frames)
    except WorkerStartError:
        assert free_bytes < 0.5 * GIB + (slot_bytes + LEAST_FRAMES * frame_bytes) * 1.1
        return
    assert found.planned_bytes(costs) <= free_bytes * 0.92 + 1
    assert 1 <= found.num_slots <= (max_slots or MOST_SLOTS)
    assert 1 <= found.max_frames <= (max_frames or MOST_FRAMES)
