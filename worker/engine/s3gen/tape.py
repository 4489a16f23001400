"""Where utterances lie on one long row of mel frames, one behind the other, and what a position belongs to.

Pure positions; knows nothing of what is computed on them.

Convolutions look to both sides, so utterances must not touch. Between two of them lies a gap that every layer sets
to zero, at each of its resolutions: what an utterance sees behind its end is the zero padding that it would see alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is


@dataclass(frozen=True, slots=True)
class Tape:
    """Utterances laid on a row of frames.

    Attributes:
        starts: first frame of each utterance.
        lengths: frames of each utterance.
        num_frames: frames of the row; those behind the last gap are unused.
        gap_frames: frames between two utterances.
        lead_frames: frames of a gap that belong to the utterance behind it; the others belong to the one before.
    """

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    num_frames: int
    gap_frames: int
    lead_frames: int

    def owners(self, seeds: Sequence[int]) -> torch.Tensor:
        """Return [3, num_frames] int64 on the CPU: start, end and seed of the utterance that each frame belongs to.

        Frames that belong to none have an end of 0, and nothing lies before that.
        """
        table = torch.zeros(3, self.num_frames, dtype=torch.int64)
        for start, length, seed in zip(self.starts, self.lengths, seeds, strict=True):
            first = start - self.lead_frames
            behind = first + length + self.gap_frames
            table[:, first:behind] = torch.tensor([[start], [start + length], [seed]])
        return table


def taped_frames(lengths: Sequence[int], *, gap_frames: int) -> int:
    """Return the frames that these utterances take up, one gap for each."""
    return sum(lengths) + gap_frames * len(lengths)


def lay(lengths: Sequence[int], num_frames: int, *, gap_frames: int, lead_frames: int = 0) -> Tape:
    """Lay utterances on a row, in the order given, the first behind its lead."""
    assert taped_frames(lengths, gap_frames=gap_frames) <= num_frames, "the utterances do not fit"
    starts = tuple(accumulate((length + gap_frames for length in lengths[:-1]), initial=lead_frames))
    return Tape(starts, tuple(lengths), num_frames, gap_frames, lead_frames)


def split_tapes(lengths: Sequence[int], max_frames: int, *, gap_frames: int) -> list[list[int]]:
    """Divide utterances into rows of at most `max_frames`; a longer utterance gets a row of its own.

    Returns:
        Indexes into `lengths`, each once. The longest come first and each goes where it fits first, which leaves
        little unused.
    """
    rows: list[list[int]] = []
    free_frames: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        wanted_frames = lengths[index] + gap_frames
        for row, free in enumerate(free_frames):
            if wanted_frames <= free:
                rows[row].append(index)
                free_frames[row] -= wanted_frames
                break
        else:
            rows.append([index])
            free_frames.append(max_frames - wanted_frames)
    return rows


@dataclass(frozen=True, slots=True)
class Resolution:
    """What each position of a layer belongs to, where a mel frame has `rate` positions.

    Attributes:
        rate: positions of a mel frame.
        starts: [P] int64, first position of the owner's.
        ends: [P] int64, one behind its last.
        positions: [P] int64, 0 to P - 1.
        is_inside: [P] bool, False in gaps.
    """

    rate: int
    starts: torch.Tensor
    ends: torch.Tensor
    positions: torch.Tensor
    is_inside: torch.Tensor

    def part(self, first: int, end: int) -> Resolution:
        """Return what some of the positions belong to; all numbers are still those of the whole row."""
        return Resolution(
            self.rate,
            self.starts[first:end],
            self.ends[first:end],
            self.positions[first:end],
            self.is_inside[first:end],
        )


def resolve(starts: torch.Tensor, ends: torch.Tensor, rate: int, *, num_extra: int = 0) -> Resolution:
    """Return what the positions of a layer belong to.

    Args:
        starts: [F] int64, first frame of each frame's owner (`Tape.owners`).
        ends: [F] int64.
        rate: positions of a frame.
        num_extra: positions that an utterance has more than its frames say: one where frames of a Fourier transform
            are counted.
    """
    first = (starts * rate).repeat_interleave(rate)
    behind = torch.where(ends > 0, ends * rate + num_extra, 0).repeat_interleave(rate)
    positions = torch.arange(first.numel(), device=first.device)
    return Resolution(rate, first, behind, positions, (positions >= first) & (positions < behind))
