"""One call of the flow's estimator on packed rows: sequences of all lengths one behind the other, none padded.

A causal convolution of three taps looks back two frames, so two zero frames before each sequence keep it from its
neighbour; attention is told where each sequence begins and ends; everything else works on a frame alone. The forward
is that of `ConditionalDecoder` of chatterbox-tts, on its own weights. Knows nothing of voices, noise or guidance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch  # noqa: TID253 - the renderer is loaded where the GPU is
from torch.nn import functional as F  # noqa: N812, TID253 - its name everywhere

from worker.engine.s3gen.weights import Affine, CausalBlock, EstimatorWeights, Resnet, Section, Transformer

#: From [R, 3, H, D], query, key and value of all rows, and a table of where the sequences lie, to [R, H, D]. What it
#: gives for rows outside of every sequence is of no account.
Attention = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Layout(NamedTuple):
    """Where the sequences lie.

    Attributes:
        mask: [R, 1] bool, true on the rows of a sequence; the two rows before each are not.
        table: the same for attention, in the form that it wants.
    """

    mask: torch.Tensor
    table: torch.Tensor


#: `run_section` or a compiled form of it.
RunSection = Callable[..., torch.Tensor]


def estimate(
    weights: EstimatorWeights,
    inputs: torch.Tensor,
    layout: Layout,
    shifts: torch.Tensor,
    *,
    attend: Attention,
    section: RunSection,
) -> torch.Tensor:
    """Return the direction in which the flow goes on.

    Args:
        weights: of the estimator.
        inputs: [R, 4 x 80]: state, encoding, speaker and prompt of each row.
        layout: where the sequences lie.
        shifts: [sections, C], what the resnet of each section adds for the time.
        attend: attention within each sequence.
        section: `run_section` or a compiled form of it.

    Returns:
        [R, 80]; of no account where the mask is false.
    """
    mask, num_heads = layout.mask, weights.num_heads
    hidden = section(inputs, layout, shifts[0], weights.down, attend, num_heads)
    skipped = hidden
    hidden = convolve(hidden, mask, weights.down_conv)
    for number, middle in enumerate(weights.middle, start=1):
        hidden = section(hidden, layout, shifts[number], middle, attend, num_heads)
    hidden = section(torch.cat([hidden, skipped], dim=1), layout, shifts[-1], weights.up, attend, num_heads)
    hidden = convolve(hidden, mask, weights.up_conv)
    hidden = _normalise(convolve(hidden, mask, weights.final.conv), weights.final)
    return F.linear(hidden, *weights.projection)


def run_section(
    rows: torch.Tensor,
    layout: Layout,
    shift: torch.Tensor,
    section: Section,
    attend: Attention,
    num_heads: int,
) -> torch.Tensor:
    """Return what a resnet and the transformers behind it make of the rows, [R, C]."""
    hidden = _run_resnet(rows, layout.mask, shift, section.resnet)
    for transformer in section.transformers:
        hidden = _run_transformer(hidden, transformer, layout.table, attend, num_heads)
    return hidden


def convolve(rows: torch.Tensor, mask: torch.Tensor, conv: Affine) -> torch.Tensor:
    """Convolve over three frames, the present and the two before it: one product with the frames side by side.

    Args:
        rows: [R, C]; where the mask is false, zeros are read in place of them.
        mask: [R, 1] bool.
        conv: its weight is [out, 3 C].
    """
    # Filled, not multiplied: rows between sequences may hold anything.
    seen = F.pad(rows.masked_fill(mask.logical_not(), 0.0), (0, 0, 2, 0))
    return F.linear(torch.cat([seen[:-2], seen[1:-1], seen[2:]], dim=1), *conv)


def _normalise(rows: torch.Tensor, block: CausalBlock) -> torch.Tensor:
    return F.mish(F.layer_norm(rows, rows.shape[-1:], *block.norm))


def _run_resnet(rows: torch.Tensor, mask: torch.Tensor, shift: torch.Tensor, resnet: Resnet) -> torch.Tensor:
    hidden = _normalise(convolve(rows, mask, resnet.first.conv), resnet.first) + shift
    hidden = _normalise(convolve(hidden, mask, resnet.second.conv), resnet.second)
    return hidden + F.linear(rows, *resnet.shortcut)


def _run_transformer(
    rows: torch.Tensor, block: Transformer, table: torch.Tensor, attend: Attention, num_heads: int
) -> torch.Tensor:
    joined = F.linear(F.layer_norm(rows, rows.shape[-1:], *block.norm1), block.qkv)
    attended = attend(joined.view(rows.shape[0], 3, num_heads, -1), table)
    rows = rows + F.linear(attended.flatten(1), *block.out)
    hidden = F.gelu(F.linear(F.layer_norm(rows, rows.shape[-1:], *block.norm2), *block.up))
    return rows + F.linear(hidden, *block.down)
