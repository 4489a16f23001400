"""Attention within each sequence of packed rows, in the forms that a device offers.

Each form has a table that says where the sequences lie, and a function that reads it. A table has the same size for
all batches of one packed length, so that a CUDA graph may hold it. Knows nothing of the estimator around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import torch  # noqa: TID253 - the renderer is loaded where the GPU is
from torch.nn import functional as F  # noqa: N812, TID253 - its name everywhere

from worker.engine.s3gen.batch import MAX_SPEECHES
from worker.engine.s3gen.estimator import Attention

#: First row of a sequence, and the row behind its last.
Bounds = tuple[int, int]

#: Sequences of a call: each speech with guidance and without.
MAX_SEQUENCES: Final = 2 * MAX_SPEECHES


class AttentionForm(NamedTuple):
    """One way to attend.

    Attributes:
        table: from the sequences' bounds and the number of rows to the table, on the CPU.
        attend: see `worker.engine.s3gen.estimator.Attention`.
        is_table_on_device: whether the function wants the table on the device.
    """

    table: Callable[[Sequence[Bounds], int], torch.Tensor]
    attend: Attention
    is_table_on_device: bool


class TileShape(NamedTuple):
    """How our kernel cuts its work; the values are the fastest measured on an H200 (`python bench/flow.py`).

    Attributes:
        rows: query rows that one program works on.
        block_keys: keys that it looks at in one turn.
        num_warps: of a program.
        num_stages: blocks of keys that are loaded ahead of their use.
    """

    rows: int = 64
    block_keys: int = 64
    num_warps: int = 4
    num_stages: int = 3


def one_by_one() -> AttentionForm:
    """Return attention that visits the sequences in turn: any device, any precision, many launches."""
    return AttentionForm(_bounds_table, _attend_one_by_one, is_table_on_device=False)


def flash(max_length: int) -> AttentionForm:
    """Return attention by torch's flash kernels for sequences of many lengths: CUDA, half precision.

    Dao, "FlashAttention-2", 2023, arXiv:2307.08691.

    Args:
        max_length: rows of the longest sequence that can come; fixed, because a CUDA graph holds it.
    """
    from torch.nn.attention.varlen import varlen_attn

    def attend(joined: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        query, key, value = joined.unbind(1)
        attended = varlen_attn(query, key, value, table, table, max_length, max_length)
        assert isinstance(attended, torch.Tensor), "nothing but the result was asked for"
        return attended

    return AttentionForm(_boundaries_table, attend, is_table_on_device=True)


def tiled(shape: TileShape = TileShape()) -> AttentionForm:  # noqa: B008 - it cannot be changed
    """Return attention by our own kernel over tiles of query rows: CUDA, half precision."""
    from worker.engine.s3gen.attentionkernel import attend_tiles

    def attend(joined: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = attend_tiles(joined, table, *shape)
        return attended

    return AttentionForm(partial(_tiles_table, shape.rows), attend, is_table_on_device=True)


def _bounds_table(bounds: Sequence[Bounds], _num_rows: int) -> torch.Tensor:
    return torch.tensor(bounds, dtype=torch.int64).view(-1, 2)


def _attend_one_by_one(joined: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    attended = torch.zeros_like(joined[:, 0])
    for start, end in table.tolist():
        query, key, value = joined[start:end].permute(1, 2, 0, 3)[:, None]
        attended[start:end] = F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1)
    return attended


def _boundaries_table(bounds: Sequence[Bounds], _num_rows: int) -> torch.Tensor:
    """Return [2 x sequences + 1] int32, ascending: gaps are sequences of their own, and unused places are empty ones.

    Rows behind the last sequence belong to none; what is there stays as it was.
    """
    edges = [0, *(edge for pair in bounds for edge in pair)]
    edges += [edges[-1]] * (2 * MAX_SEQUENCES + 1 - len(edges))
    return torch.tensor(edges, dtype=torch.int32)


def _tiles_table(tile_rows: int, bounds: Sequence[Bounds], num_rows: int) -> torch.Tensor:
    """Return [tiles, 3] int32: first query row, the sequence's first row and the row behind its last.

    Tiles of long sequences come first, so that the last ones to run are short. Unused tiles are zero.
    """
    tiles = [
        (row, start, end)
        for start, end in sorted(bounds, key=lambda pair: pair[0] - pair[1])
        for row in range(start, end, tile_rows)
    ]
    table = torch.zeros(num_rows // tile_rows + MAX_SEQUENCES, 3, dtype=torch.int32)
    table[: len(tiles)] = torch.tensor(tiles, dtype=torch.int32).view(-1, 3)
    return table
