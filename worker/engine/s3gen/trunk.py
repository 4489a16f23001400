"""The convolutions of the vocoder, run on a row of utterances: from mel and source to the transforms of the samples.

Knows nothing of pitch, of samples or of where weights come from. Kaneko, Tanaka, Kameoka, Seki: "iSTFTNet",
arXiv:2203.02395, with the source of HiFTNet (Li, Han, Jiang, Mesgarani, arXiv:2309.09493), as chatterbox-tts has it
(`HiFTGenerator.decode`).

A row of utterances goes through as one image of height 1. At every resolution the gaps are set to zero before the next
convolution looks at them, so each utterance sees zero padding behind its end, as it would alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

from worker.engine.s3gen.convolution import convolve
from worker.engine.s3gen.finish import finish
from worker.engine.s3gen.tape import Resolution, resolve

if TYPE_CHECKING:
    from worker.engine.s3gen.trunkweights import ResidualBlock, Stage, TrunkWeights


def run_trunk(weights: TrunkWeights, mels: torch.Tensor, source: torch.Tensor, frames: Resolution) -> torch.Tensor:
    """Return what magnitudes and phases are made of, [P, bins] float32, garbage in gaps.

    Args:
        weights: the convolutions.
        mels: [F, 80] float32, zero in gaps.
        source: [P, bins] float32, transforms of the source, zero in gaps.
        frames: what each mel frame belongs to.
    """
    convolution, opened = weights.opening
    _, rows = finish(opened, convolve(convolution, mels.to(weights.dtype)), frames.is_inside)
    source = source.to(weights.dtype)
    rate = frames.rate
    for stage in weights.stages:
        rate *= stage.upsampling.factor
        is_finest = stage is weights.stages[-1]
        at = resolve(frames.starts, frames.ends, rate, num_extra=int(is_finest))
        rows = _run_stage(stage, rows, source, at, is_finest=is_finest)
    return convolve(weights.closing, rows.float()) + weights.closing.bias


def _mirrored(rows: torch.Tensor, at: Resolution) -> torch.Tensor:
    """Move each utterance one position back and put its second position before its first, `ReflectionPad1d((1, 0))`.

    An utterance has one transform more than it has hops.
    """
    taken = at.positions - 1 + 2 * (at.positions == at.starts)
    return rows[taken.clamp(min=0)]


@dataclass(slots=True)
class _Passing:
    """What passes from one finish to the next; a row that nobody needs any more is let go of at once.

    The finest stage has 120 positions of 64 channels for a frame, 31 kB for each row that is kept.

    Attributes:
        total: [P, C], a sum.
        opened: [P, C], the same, activated.
    """

    total: torch.Tensor | None
    opened: torch.Tensor | None


def _run_stage(
    stage: Stage, rows: torch.Tensor, source: torch.Tensor, at: Resolution, *, is_finest: bool
) -> torch.Tensor:
    """Return the activated mean of the stage's blocks, [P, C].

    Args:
        stage: the weights.
        rows: [Q, C], the coarser stage's result.
        source: [T, bins], transforms of the source.
        at: what each of the P positions belongs to.
        is_finest: whether an utterance has one position more than its frames say.
    """
    merged = _merge_source(stage, rows, source, at, is_finest=is_finest)
    mean: tuple[torch.Tensor, ...] = ()
    for number, block in enumerate(stage.blocks):
        if number > 0:
            assert merged.total is not None
            _, merged.opened = finish(block.opening, merged.total, at.is_inside)
        passing = _Passing(merged.total, merged.opened)
        merged.opened = None
        if number == len(stage.blocks) - 1:
            merged.total = None
        # The last block gives the activated mean only.
        _run_block(block, passing, at, *mean)
        mean = (passing.total,) if passing.total is not None else ()
    assert passing.opened is not None
    return passing.opened


def _merge_source(
    stage: Stage, rows: torch.Tensor, source: torch.Tensor, at: Resolution, *, is_finest: bool
) -> _Passing:
    """Return the coarser stage's result, raised to this stage's resolution, with the source added."""
    raised = convolve(stage.upsampling, rows)
    if is_finest:
        raised = _mirrored(raised, at)
    passing = _Passing(*finish(stage.source_finish, _lower(stage, source, raised.shape[0]), at.is_inside))
    _run_block(stage.source_block, passing, at, raised)
    return passing


def _lower(stage: Stage, source: torch.Tensor, num_positions: int) -> torch.Tensor:
    """Return the source at the stage's resolution, [P, C], without the bias: a strided convolution."""
    num_bins = source.shape[1]
    num_taps = stage.source_weight.shape[1] // num_bins
    wanted = (num_positions - 1) * stage.source_stride + num_taps
    behind = wanted - stage.source_padding - source.shape[0]
    padded = torch.nn.functional.pad(source, (0, 0, stage.source_padding, behind))
    seen = padded.unfold(0, num_taps, stage.source_stride).reshape(num_positions, -1)
    return torch.nn.functional.linear(seen, stage.source_weight)


def _run_block(block: ResidualBlock, passing: _Passing, at: Resolution, *addends: torch.Tensor) -> None:
    """Put the sum and the activated sum of a block in place of what goes into it, as its last finish wants them.

    Args:
        block: the weights.
        passing: what goes into the block; changed.
        at: what each position belongs to.
        addends: [P, C], added to the block's result.
    """
    for number, (narrow, middle, wide, last) in enumerate(block.pairs, start=1):
        assert passing.opened is not None
        assert passing.total is not None
        convolved = convolve(narrow, passing.opened)
        passing.opened = None
        _, between = finish(middle, convolved, at.is_inside)
        convolved = convolve(wide, between)
        del between
        others = addends if number == len(block.pairs) else ()
        passing.total, passing.opened = finish(last, convolved, at.is_inside, passing.total, *others)
