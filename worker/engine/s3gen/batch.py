"""Which speeches are rendered together, and where each lies in the packed batch.

Pure arithmetic on lengths; imports no torch. All lengths are mel frames of prompt and speech together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

#: Zero frames before each sequence of a packed batch: as many as a causal convolution of three taps looks back.
GAP_FRAMES: Final = 2

#: Sequences that one packed batch holds at most: the tables of a CUDA graph have a fixed size.
MAX_SPEECHES: Final = 128


#: The shortest packed length that work is prepared for: below it a launch costs more than the work.
SHORTEST_BUDGET_FRAMES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Packing:
    """Sequences laid one behind the other in one row of frames, each after a gap.

    Attributes:
        lengths: mel frames of each sequence.
        num_frames: length of the row; what lies behind the last sequence is unused.
    """

    lengths: tuple[int, ...]
    num_frames: int

    def __post_init__(self) -> None:
        assert packed_frames(self.lengths) <= self.num_frames, "the sequences do not fit"

    @property
    def starts(self) -> tuple[int, ...]:
        """First frame of each sequence."""
        ends = accumulate((GAP_FRAMES + length for length in self.lengths), initial=0)
        return tuple(end + GAP_FRAMES for end, _ in zip(ends, self.lengths, strict=False))


def packed_frames(lengths: Sequence[int]) -> int:
    """Return the frames that these sequences take up when packed."""
    return sum(lengths) + GAP_FRAMES * len(lengths)


def split_batches(lengths: Sequence[int], max_frames: int, *, max_speeches: int = MAX_SPEECHES) -> list[list[int]]:
    """Divide speeches into batches, in the order of arrival.

    Packing wastes nothing on mixed lengths, so nothing is gained by sorting, and who came first is rendered first.

    Args:
        lengths: mel frames of each speech, its prompt included.
        max_frames: packed frames of a batch. A speech that is longer than this gets a batch of its own.
        max_speeches: speeches of a batch.

    Returns:
        Indexes into `lengths`, each once, ascending; no batch is empty.
    """
    batches: list[list[int]] = []
    free_frames = 0
    for index, length in enumerate(lengths):
        wanted_frames = packed_frames([length])
        if not batches or wanted_frames > free_frames or len(batches[-1]) == max_speeches:
            batches.append([])
            free_frames = max_frames
        batches[-1].append(index)
        free_frames -= wanted_frames
    return batches


def list_budgets(max_frames: int) -> list[int]:
    """Return the packed lengths that work is prepared for, descending from the longest.

    Each is four fifths of the one before: a batch is rounded up to the next, so at most a fifth of the work is for
    nothing, and on the average half of that.
    """
    budgets = [max_frames]
    while budgets[-1] > SHORTEST_BUDGET_FRAMES:
        # Rounded up to a multiple of 128 rows, the height of a kernel's tile.
        budgets.append(-(-(budgets[-1] * 4 // 5) // 128) * 128)
    return budgets


def choose_budget(num_frames: int, budgets: Sequence[int]) -> int | None:
    """Return the smallest budget that holds these packed frames, or None if none does."""
    return min((budget for budget in budgets if budget >= num_frames), default=None)


def group_by_area(lengths: Sequence[int], max_area: int) -> list[list[int]]:
    """Divide sequences into padded groups for work that grows with the square of the longest.

    Args:
        lengths: of each sequence.
        max_area: sequences times the square of the longest one, in a group; a longer sequence is alone.

    Returns:
        Indexes into `lengths`, longest first, so that sequences of like length are padded together.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if not groups or (len(groups[-1]) + 1) * lengths[groups[-1][0]] ** 2 > max_area:
            groups.append([])
        groups[-1].append(index)
    return groups
