from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.batching.fitting import (
    FRAMES_PER_SLOT,
    LEAST_FRAMES,
    MOST_FRAMES,
    MOST_SLOTS,
    Costs,
    Fit,
    fit,
    fit_frames,
    has_room_for_another,
)
from worker.errors import DeviceTooSmallError

GIB = 2**30

#: The English T3 with keys and values in half precision, and what S3Gen needs for a frame.
FULL_SIZE = Costs(
    slot_bytes=240 * 2**20,
    frame_bytes=80_000,
    decode_bytes=400 * 2**20,
    burst_bytes=20 * 2**20,
    most_burst_bytes=512 * 2**20,
    render_bytes=800 * 2**20,
)


def test_reading_prompts_takes_no_more_for_many_slots_than_for_those_that_are_read_at_once():
    assert [FULL_SIZE.reading(number) // 2**20 for number in (1, 25, 26, 128)] == [20, 500, 512, 512]


@pytest.mark.parametrize(
    ("free_gib", "least_slots", "most_slots"),
    [(4, 3, 9), (7, 12, 18), (11, 26, 34), (15, 36, 50), (23, 60, 80), (47, 120, 128), (79, 128, 128)],
)
def test_memory_from_small_to_large(free_gib, least_slots, most_slots):
    found = fit(free_gib * GIB, FULL_SIZE)
    assert least_slots <= found.num_slots <= most_slots
    assert found.planned_bytes(FULL_SIZE) <= 0.92 * free_gib * GIB
    assert found.max_frames >= min(found.num_slots * FRAMES_PER_SLOT, MOST_FRAMES)
    assert free_gib < 79 or found.max_frames == MOST_FRAMES


def test_room_that_slots_may_not_have_makes_larger_batches():
    few, many = (fit(12 * GIB, FULL_SIZE, max_slots=slots) for slots in (4, 8))
    assert (few.num_slots, many.num_slots) == (4, 8)
    assert few.max_frames == many.max_frames == MOST_FRAMES
    assert fit(6 * GIB, FULL_SIZE, max_slots=4).max_frames > 4 * FRAMES_PER_SLOT


def test_memory_that_is_too_little_is_an_error_that_says_how_much_is_missing():
    with pytest.raises(DeviceTooSmallError, match="has 1,024 MiB free and 1,955 MiB would do, 931 more") as caught:
        fit(GIB, FULL_SIZE)
    _, needed_bytes = caught.value.args
    assert fit(int(needed_bytes * 1.02), FULL_SIZE) == Fit(1, fit(int(needed_bytes * 1.02), FULL_SIZE).max_frames)


def test_frames_are_fitted_anew_beside_a_decoder_that_is_there():
    whole = fit(8 * GIB, FULL_SIZE)
    left_bytes = 8 * GIB - FULL_SIZE.decode_bytes - whole.num_slots * FULL_SIZE.slot_bytes
    # The part of free memory that is kept back is smaller where less is free.
    assert whole.max_frames <= fit_frames(left_bytes, FULL_SIZE, whole.num_slots) <= MOST_FRAMES
    assert fit_frames(left_bytes, FULL_SIZE, whole.num_slots, max_frames=3_000) == 3_000
    with pytest.raises(DeviceTooSmallError):
        fit_frames(GIB, FULL_SIZE, whole.num_slots)


@given(
    free_bytes=st.integers(0, 200 * GIB),
    slot_bytes=st.integers(2**20, GIB),
    frame_bytes=st.integers(1_000, 10**6),
    max_slots=st.none() | st.integers(1, 512),
    max_frames=st.none() | st.integers(1, 10**5),
)
def test_the_plan_never_exceeds_what_is_free_or_allowed(free_bytes, slot_bytes, frame_bytes, max_slots, max_frames):
    costs = Costs(slot_bytes, frame_bytes, burst_bytes=slot_bytes // 10, most_burst_bytes=slot_bytes)
    try:
        found = fit(free_bytes, costs, max_slots=max_slots, max_frames=max_frames)
    except DeviceTooSmallError:
        assert free_bytes < 0.5 * GIB + (1.1 * slot_bytes + LEAST_FRAMES * frame_bytes) * 1.1
        return
    assert found.planned_bytes(costs) <= free_bytes * 0.92 + 1
    assert 1 <= found.num_slots <= (max_slots or MOST_SLOTS)
    assert 1 <= found.max_frames <= (max_frames or MOST_FRAMES)


def test_a_second_renderer_is_made_where_it_fits_beside_the_first_and_pays():
    largest = Fit(MOST_SLOTS, MOST_FRAMES)
    needed = FULL_SIZE.reading(MOST_SLOTS) + 2 * FULL_SIZE.rendering(MOST_FRAMES)

    def has_room(free_bytes: float, num_slots: int = largest.num_slots, max_frames: int = largest.max_frames) -> bool:
        return has_room_for_another(int(free_bytes), FULL_SIZE, num_slots, max_frames)

    assert has_room(needed * 1.1)  # 8 % of it are nobody's
    assert not has_room(needed)
    assert not has_room(79 * GIB, num_slots=8)
    assert not has_room(79 * GIB, max_frames=MOST_FRAMES - 1)
