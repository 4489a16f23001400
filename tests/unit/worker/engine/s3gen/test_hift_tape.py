"""Where utterances lie on a row."""

from __future__ import annotations

import pytest
import torch  # noqa: TID253 - the tests compare tensors

from worker.engine.s3gen.tape import lay, resolve, split_tapes, taped_frames


def test_utterances_lie_one_behind_the_other_with_gaps():
    tape = lay([3, 1], 12, gap_frames=2)

    assert tape.starts == (0, 5)
    assert tape.owners([8, 9]).tolist() == [
        [0, 0, 0, 0, 0, 5, 5, 5, 0, 0, 0, 0],
        [3, 3, 3, 3, 3, 6, 6, 6, 0, 0, 0, 0],
        [8, 8, 8, 8, 8, 9, 9, 9, 0, 0, 0, 0],
    ]


def test_a_lead_belongs_to_the_utterance_behind_it():
    tape = lay([2, 1], 9, gap_frames=3, lead_frames=1)

    assert tape.starts == (1, 6)
    assert tape.owners([8, 9])[2].tolist() == [8, 8, 8, 8, 8, 9, 9, 9, 9]


def test_positions_of_a_finer_layer_know_where_their_utterance_is():
    starts, ends, _ = lay([2, 1], 9, gap_frames=3, lead_frames=1).owners([0, 0])

    plain, longer = (resolve(starts, ends, 2, num_extra=extra) for extra in (0, 1))

    assert plain.is_inside.nonzero().flatten().tolist() == [2, 3, 4, 5, 12, 13]
    assert longer.is_inside.nonzero().flatten().tolist() == [2, 3, 4, 5, 6, 12, 13, 14]
    assert (plain.positions - plain.starts)[plain.is_inside].tolist() == [0, 1, 2, 3, 0, 1]
    assert plain.positions.dtype == torch.int64


def test_what_belongs_to_nobody_is_outside():
    starts, ends, _ = lay([1], 6, gap_frames=1).owners([0])

    assert resolve(starts, ends, 3, num_extra=1).is_inside.nonzero().flatten().tolist() == [0, 1, 2, 3]


def test_more_than_the_row_holds_is_refused():
    with pytest.raises(AssertionError):
        lay([4, 4], 11, gap_frames=2)


def test_rows_hold_each_utterance_once_and_no_more_than_fits():
    lengths = [5, 30, 1, 9, 9, 2, 14]

    rows = split_tapes(lengths, 20, gap_frames=2)

    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(taped_frames([lengths[index] for index in row], gap_frames=2) <= 20 for row in rows if row != [1])
    # 16 + 11 + 11 + 7 + 4 + 3 frames need three rows, and the one that is too long has its own.
    assert len(rows) == 4
    assert [1] in rows


def test_nothing_needs_no_row():
    assert split_tapes([], 20, gap_frames=2) == []
