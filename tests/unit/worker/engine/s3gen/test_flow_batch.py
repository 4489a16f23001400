"""Which speeches share a batch, and where they lie in it: arithmetic, without torch."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.s3gen.batch import (
    GAP_FRAMES,
    SHORTEST_BUDGET_FRAMES,
    Packing,
    choose_budget,
    group_by_area,
    list_budgets,
    packed_frames,
    split_batches,
)

LENGTHS = st.lists(st.integers(min_value=1, max_value=3_000), max_size=60)


@given(LENGTHS, st.integers(min_value=1, max_value=10_000), st.integers(min_value=1, max_value=9))
def test_every_speech_is_in_one_batch_in_its_turn_and_no_batch_is_too_large(
    lengths: list[int], max_frames: int, max_speeches: int
) -> None:
    batches = split_batches(lengths, max_frames, max_speeches=max_speeches)
    assert [index for batch in batches for index in batch] == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_speeches
        assert len(batch) == 1 or packed_frames([lengths[index] for index in batch]) <= max_frames


def test_a_batch_is_filled_to_the_last_frame() -> None:
    assert split_batches([8, 8, 8], 3 * (8 + GAP_FRAMES)) == [[0, 1, 2]]
    assert split_batches([8, 8, 8], 3 * (8 + GAP_FRAMES) - 1) == [[0, 1], [2]]


def test_a_speech_that_is_longer_than_a_batch_is_rendered_alone() -> None:
    assert split_batches([5, 900, 5], 100) == [[0], [1], [2]]


@given(LENGTHS.filter(bool))
def test_sequences_lie_apart_by_the_gap_and_within_the_row(lengths: list[int]) -> None:
    packing = Packing(tuple(lengths), packed_frames(lengths))
    end = 0
    for start, length in zip(packing.starts, packing.lengths, strict=True):
        assert start == end + GAP_FRAMES
        end = start + length
    assert end == packing.num_frames


def test_sequences_that_do_not_fit_are_refused() -> None:
    with pytest.raises(AssertionError):
        Packing((5, 5), packed_frames([5, 5]) - 1)


def test_the_smallest_budget_that_holds_the_batch_is_taken() -> None:
    assert choose_budget(17, [64, 16, 32]) == 32
    assert choose_budget(16, [64, 16, 32]) == 16
    assert choose_budget(65, [64, 16, 32]) is None


@given(st.integers(min_value=1, max_value=100_000))
def test_rounding_up_to_a_budget_wastes_a_fifth_at_most(max_frames: int) -> None:
    budgets = list_budgets(max_frames)
    assert budgets[0] == max_frames
    assert budgets[-1] <= SHORTEST_BUDGET_FRAMES
    for larger, smaller in pairwise(budgets):
        assert 0.8 * larger - 1 <= smaller < larger


@given(LENGTHS, st.integers(min_value=1, max_value=10_000_000))
def test_padded_groups_hold_every_sequence_once_and_stay_under_their_area(lengths: list[int], max_area: int) -> None:
    groups = group_by_area(lengths, max_area)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert len(group) == 1 or len(group) * longest**2 <= max_area


def test_batches_are_planned_without_torch() -> None:
    import subprocess

    program = "import sys, worker.engine.s3gen.batch, worker.engine.s3gen.speech; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
