"""Which rows a decode step computes, and in which order: conditional rows first, then the others.

The number of lanes is one of a few, so that there is a CUDA graph for each; lanes too many work on the scratch row.
Knows nothing of what a lane computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.transfer import to_device

#: Sizes of the batch, in slots. Finer where a step is long enough for idle lanes to cost.
_SIZES: Final = (1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)


@dataclass(frozen=True, slots=True)
class StepShape:
    """What differs between the CUDA graphs: everything else is data.

    Attributes:
        num_lanes: L.
        num_slots: N, how many lanes draw a token: the first N.
        has_top_p: whether some slot has a top_p below 1; only then the logits are sorted.
    """

    num_lanes: int
    num_slots: int
    has_top_p: bool

    @property
    def is_plain(self) -> bool:
        """Whether it is for slots that all have guidance, as nearly all have: half of the lanes draw a token."""
        return self.num_slots < self.num_lanes


@dataclass(frozen=True, slots=True)
class LiveSlot:
    """A slot as the lanes see it."""

    rows: tuple[int, ...]
    has_top_p: bool


class Lanes:
    """The lane list on the device; a CUDA graph reads it at each replay.

    Attributes:
        table: [3, L] int64 on the device. Row of the cache of each lane; of the first N lanes, the row that leads the
            slot whose token they draw (else the scratch row); and the lane with the logits without text (else itself).
    """

    def __init__(self, *, num_rows: int, device: torch.device) -> None:
        """Allocate it for as many rows; the scratch row is the one behind them."""
        self._scratch_row = num_rows
        num_lanes = shapes(num_rows)[0].num_lanes
        self.table = torch.full((3, num_lanes), num_rows, dtype=torch.long, device=device)
        # Idle lanes are their own partners: a step that warms up looks at them before any slot is assigned.
        self.table[2].copy_(torch.arange(num_lanes))

    def assign(self, slots: Sequence[LiveSlot]) -> StepShape:
        """Give each slot its lanes, from the next step on, and return the shape of that step. Launches only."""
        shape = choose_shape(slots, num_rows=self._scratch_row)
        rows, owners = [self._scratch_row] * shape.num_lanes, [self._scratch_row] * shape.num_lanes
        partners = list(range(shape.num_lanes))
        next_lane = shape.num_slots if shape.is_plain else len(slots)
        for lane, slot in enumerate(slots):
            rows[lane] = owners[lane] = slot.rows[0]
            if len(slot.rows) == 2:
                rows[next_lane], partners[lane] = slot.rows[1], next_lane
                next_lane += 1
        self.table[:, : shape.num_lanes] = to_device(torch.tensor([rows, owners, partners]), self.table.device)
        return shape

    def of(self, shape: StepShape) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the views that a step of this shape reads: rows [L], owners [N], partners [N]."""
        rows, owners, partners = self.table
        return rows[: shape.num_lanes], owners[: shape.num_slots], partners[: shape.num_slots]


def choose_shape(slots: Sequence[LiveSlot], *, num_rows: int) -> StepShape:
    """Return the smallest shape that holds these slots."""
    num_lanes = sum(len(slot.rows) for slot in slots)
    has_top_p = any(slot.has_top_p for slot in slots)
    is_plain = not has_top_p and all(len(slot.rows) == 2 for slot in slots)
    return min(
        (
            shape
            for shape in shapes(num_rows)
            if shape.num_lanes >= num_lanes and (shape.has_top_p, shape.is_plain) == (has_top_p, is_plain)
        ),
        key=lambda shape: shape.num_lanes,
    )


def shapes(num_rows: int) -> list[StepShape]:
    """Return all shapes that steps over up to `num_rows` rows have, the largest first."""
    sizes = {2 * size for size in _SIZES if 2 * size < num_rows}
    all_rows = num_rows + num_rows % 2
    return [
        shape
        for num_lanes in sorted({*sizes, all_rows}, reverse=True)
        for shape in (
            StepShape(num_lanes, num_lanes // 2, has_top_p=False),
            StepShape(num_lanes, num_lanes, has_top_p=False),
            StepShape(num_lanes, num_lanes, has_top_p=True),
        )
    ]
