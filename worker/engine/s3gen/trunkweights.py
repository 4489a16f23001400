"""The vocoder's convolutions as a trunk runs them: read from chatterbox-tts' module, which stays as it is.

Knows nothing of how they are run. Weight norms are folded here once; the module computes them anew in every call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

from worker.engine.s3gen.convolution import Convolution, Form, read_convolution, read_upsampling
from worker.engine.s3gen.finish import Finish, Leaky, Snake


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """Pairs of convolutions, each pair added to what goes into it.

    Attributes:
        opening: what makes of the block's input what its first convolution reads.
        pairs: convolution, its finish, convolution, its finish. The last finish also adds and activates what the stage
            wants of the block's result.
    """

    opening: Finish
    pairs: tuple[tuple[Convolution, Finish, Convolution, Finish], ...]

    def closing(self, **changes: Any) -> ResidualBlock:
        """Return the block with another last finish."""
        *others, (narrow, middle, wide, last) = self.pairs
        return ResidualBlock(self.opening, (*others, (narrow, middle, wide, replace(last, **changes))))


@dataclass(frozen=True, slots=True)
class Stage:
    """One resolution: upsampling, the source at this resolution, and blocks whose mean is the result.

    Attributes:
        upsampling: factor positions for each.
        source_weight: [C, bins * taps] of the convolution that brings the source down to this resolution.
        source_stride: transforms of the source from one position to the next.
        source_padding: zero transforms before the first.
        source_finish: its bias, and the activation that opens `source_block`.
        source_block: what the source goes through; its last finish adds what was upsampled and opens the first block.
        blocks: what the sum goes through; the last finish of the last one takes the mean and activates it.
    """

    upsampling: Convolution
    source_weight: torch.Tensor
    source_stride: int
    source_padding: int
    source_finish: Finish
    source_block: ResidualBlock
    blocks: tuple[ResidualBlock, ...]


@dataclass(frozen=True, slots=True)
class TrunkWeights:
    """All convolutions on the way from the mel to the transforms.

    Attributes:
        opening: the first convolution, from the mel, and its finish.
        stages: from coarse to fine.
        closing: the last convolution; its weight is float32 in every precision, because an exponential follows.
        dtype: of everything between.
    """

    opening: tuple[Convolution, Finish]
    stages: tuple[Stage, ...]
    closing: Convolution
    dtype: torch.dtype


def read_trunk(mel2wav: Any, form: Form) -> TrunkWeights:
    """Return the weights of a `HiFTGenerator`.

    Args:
        mel2wav: the vocoder.
        form: of all but the last convolution, which is in float32.
    """
    opening = read_convolution(mel2wav.conv_pre, form)
    # Before the last convolution chatterbox-tts leaves the slope to torch.
    slopes = [*[mel2wav.lrelu_slope] * (mel2wav.num_upsamples - 1), 0.01]
    opened = Finish(opening.bias, keeps_sum=False, activation=Leaky(mel2wav.lrelu_slope), is_tf32=form.is_tf32)
    return TrunkWeights(
        opening=(opening, opened),
        stages=tuple(_read_stage(mel2wav, number, Leaky(slope), form) for number, slope in enumerate(slopes)),
        closing=read_convolution(mel2wav.conv_post, Form(form.device, is_tf32=form.is_tf32)),
        dtype=form.dtype,
    )


def _read_stage(mel2wav: Any, number: int, closing: Leaky, form: Form) -> Stage:
    num_blocks = mel2wav.num_kernels
    down = mel2wav.source_downs[number]
    upsampling = read_upsampling(mel2wav.ups[number], form)
    source_block = _read_block(mel2wav.source_resblocks[number], form)
    chosen = mel2wav.resblocks[number * num_blocks : (number + 1) * num_blocks]
    *others, last = (_read_block(block, form) for block in chosen)
    blocks = (*others, last.closing(scale=1 / num_blocks, keeps_sum=False, activation=closing))
    source_bias = source_block.pairs[-1][3].bias + upsampling.bias
    return Stage(
        upsampling=upsampling,
        source_weight=down.weight.detach().flatten(1).to(form.device, form.dtype),
        source_stride=down.stride[0],
        source_padding=down.padding[0],
        source_finish=replace(source_block.opening, bias=down.bias.detach().float().to(form.device), keeps_sum=True),
        source_block=source_block.closing(bias=source_bias, activation=blocks[0].opening.activation),
        blocks=blocks,
    )


def _read_block(block: Any, form: Form) -> ResidualBlock:
    before = [_read_snake(snake, form) for snake in block.activations1]
    between = [_read_snake(snake, form) for snake in block.activations2]
    following = [*before[1:], None]
    pairs = []
    for number, (one, two) in enumerate(zip(block.convs1, block.convs2, strict=True)):
        narrow, wide = (read_convolution(each, form) for each in (one, two))
        middle = Finish(narrow.bias, keeps_sum=False, activation=between[number], is_tf32=form.is_tf32)
        pairs.append((narrow, middle, wide, Finish(wide.bias, activation=following[number], is_tf32=form.is_tf32)))
    nothing = torch.zeros_like(before[0].alpha)
    return ResidualBlock(Finish(nothing, keeps_sum=False, activation=before[0], is_tf32=form.is_tf32), tuple(pairs))


def _read_snake(snake: Any, form: Form) -> Snake:
    alpha = snake.alpha.detach().float().to(form.device)
    return Snake(alpha, 1.0 / (alpha + snake.no_div_by_zero))
