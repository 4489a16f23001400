"""The vocoder's convolutions as a trunk runs them: read from chatterbox-tts' module, which stays as it is.

Knows nothing of how they are run. Weight norms are folded here once; the module computes them anew in every call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch  # noqa: TID253 - the vocoder is loaded where the GPU is

from worker.engine.s3gen.convolution import Convolution, read_convolution, read_upsampling
from worker.engine.s3gen.finish import Finish, Leaky, Snake


@dataclass(frozen=True, slots=True)
class ResidualBlock:
    """Pairs of convolutions, each pair added to what goes into it.

    Attributes:
        opening: the activation before the first convolution.
        pairs: convolution, its finish, convolution, its finish. The last finish also adds and activates what the stage
            wants of the block's result.
    """

    opening: Snake
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


def read_trunk(mel2wav: Any, device: torch.device, dtype: torch.dtype, *, is_fused: bool = False) -> TrunkWeights:
    """Return the weights of a `HiFTGenerator`.

    Args:
        mel2wav: the vocoder.
        device: where the weights go.
        dtype: of all but the last convolution.
        is_fused: whether the blocks run in the kernel that also finishes (`stepkernel.py`), which has no full float32.
    """
    opening = read_convolution(mel2wav.conv_pre, device, dtype)
    # Before the last convolution chatterbox-tts leaves the slope to torch.
    slopes = [*[mel2wav.lrelu_slope] * (mel2wav.num_upsamples - 1), 0.01]
    return TrunkWeights(
        opening=(opening, Finish(opening.bias, keeps_sum=False, activation=Leaky(mel2wav.lrelu_slope))),
        stages=tuple(
            _read_stage(mel2wav, number, Leaky(slope), device, dtype, is_fused=is_fused)
            for number, slope in enumerate(slopes)
        ),
        closing=read_convolution(mel2wav.conv_post, device, torch.float32),
        dtype=dtype,
    )


def _read_stage(
    mel2wav: Any, number: int, closing: Leaky, device: torch.device, dtype: torch.dtype, *, is_fused: bool
) -> Stage:
    num_blocks = mel2wav.num_kernels
    down = mel2wav.source_downs[number]
    upsampling = read_upsampling(mel2wav.ups[number], device, dtype)
    source_block = _read_block(mel2wav.source_resblocks[number], device, dtype, is_fused=is_fused)
    *blocks, last = (
        _read_block(block, device, dtype, is_fused=is_fused)
        for block in mel2wav.resblocks[number * num_blocks : (number + 1) * num_blocks]
    )
    source_bias = source_block.pairs[-1][3].bias + upsampling.bias
    opening = (*blocks, last)[0].opening
    return Stage(
        upsampling=upsampling,
        source_weight=down.weight.detach().flatten(1).to(device, dtype),
        source_stride=down.stride[0],
        source_padding=down.padding[0],
        source_finish=Finish(down.bias.detach().float().to(device), activation=source_block.opening),
        source_block=source_block.closing(bias=source_bias, activation=opening),
        blocks=(*blocks, last.closing(scale=1 / num_blocks, keeps_sum=False, activation=closing)),
    )


def _read_block(block: Any, device: torch.device, dtype: torch.dtype, *, is_fused: bool) -> ResidualBlock:
    before = [_read_snake(snake, device) for snake in block.activations1]
    between = [_read_snake(snake, device) for snake in block.activations2]
    following = [*before[1:], None]
    pairs = []
    for number, (one, two) in enumerate(zip(block.convs1, block.convs2, strict=True)):
        narrow, wide = (read_convolution(each, device, dtype, is_fused=is_fused) for each in (one, two))
        middle = Finish(narrow.bias, keeps_sum=False, activation=between[number])
        pairs.append((narrow, middle, wide, Finish(wide.bias, activation=following[number])))
    return ResidualBlock(before[0], tuple(pairs))


def _read_snake(snake: Any, device: torch.device) -> Snake:
    alpha = snake.alpha.detach().float().to(device)
    return Snake(alpha, 1.0 / (alpha + snake.no_div_by_zero))
