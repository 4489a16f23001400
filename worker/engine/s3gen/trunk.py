"""The convolutions of the vocoder, run on a row of utterances: from mel and source to the transforms of the samples.

Knows nothing of pitch, of samples or of where weights come from. Kaneko, Tanaka, Kameoka, Seki: "iSTFTNet",
arXiv:2203.02395, with the source of HiFTNet (Li, Han, Jiang, Mesgarani, arXiv:2309.09493), as chatterbox-tts has it
(`HiFTGenerator.decode`).

A row of utterances goes through as one image of height 1. At every resolution the gaps are set to zero before the next
convolution looks at them, so each utterance sees zero padding behind its end, as it would alone.
"""

from __future__ import annotations

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
        raised = convolve(stage.upsampling, rows)
        rate *= stage.upsampling.factor
        is_finest = stage is weights.stages[-1]
        at = resolve(frames.starts, frames.ends, rate, num_extra=int(is_finest))
        rows = _run_stage(stage, _mirrored(raised, at) if is_finest else raised, source, at)
    return convolve(weights.closing, rows.float()) + weights.closing.bias


def _mirrored(rows: torch.Tensor, at: Resolution) -> torch.Tensor:
    """Move each utterance one position back and put its second position before its first, `ReflectionPad1d((1, 0))`.

    An utterance has one transform more than it has hops.
    """
    taken = at.positions - 1 + 2 * (at.positions == at.starts)
    return rows[taken.clamp(min=0)]


def _run_stage(stage: Stage, raised: torch.Tensor, source: torch.Tensor, at: Resolution) -> torch.Tensor:
    """Return the activated mean of the stage's blocks, [P, C].

    Args:
        stage: the weights.
        raised: [P, C], the coarser stage's result after `upsampling`, without the bias.
        source: [T, bins], transforms of the source.
        at: what each of the P positions belongs to.
    """
    lowered, opened = finish(stage.source_finish, _lower(stage, source, raised.shape[0]), at.is_inside)
    total, opened = _run_block(stage.source_block, lowered, opened, at, raised)
    mean = None
    for number, block in enumerate(stage.blocks):
        if number > 0:
            _, opened = finish(block.opening, total, at.is_inside)
        # The last block gives the activated mean only.
        so_far = () if mean is None else (mean,)
        mean, closed = _run_block(block, total, opened, at, *so_far)
    return closed


def _lower(stage: Stage, source: torch.Tensor, num_positions: int) -> torch.Tensor:
    """Return the source at the stage's resolution, [P, C], without the bias: a strided convolution."""
    num_bins = source.shape[1]
    num_taps = stage.source_weight.shape[1] // num_bins
    wanted = (num_positions - 1) * stage.source_stride + num_taps
    behind = wanted - stage.source_padding - source.shape[0]
    padded = torch.nn.functional.pad(source, (0, 0, stage.source_padding, behind))
    seen = padded.unfold(0, num_taps, stage.source_stride).reshape(num_positions, -1)
    return torch.nn.functional.linear(seen, stage.source_weight)


def _run_block(
    block: ResidualBlock, total: torch.Tensor, opened: torch.Tensor, at: Resolution, *addends: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum and the activated sum of a block, each [P, C], as its last finish wants them.

    Args:
        block: the weights.
        total: [P, C], what goes into the block.
        opened: [P, C], the same, activated.
        at: what each position belongs to.
        addends: [P, C], added to the block's result.
    """
    for number, (narrow, middle, wide, last) in enumerate(block.pairs, start=1):
        _, between = finish(middle, convolve(narrow, opened), at.is_inside)
        others = addends if number == len(block.pairs) else ()
        total, opened = finish(last, convolve(wide, between), at.is_inside, total, *others)
    return total, opened
