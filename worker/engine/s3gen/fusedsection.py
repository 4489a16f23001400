"""The estimator's section with kernels of our own: `worker.engine.s3gen.estimator.run_section` in fewer, larger steps.

Knows nothing of what surrounds a section.
"""

from __future__ import annotations

import torch  # noqa: TID253 - loaded on a GPU only
from torch.nn import functional as F  # noqa: N812, TID253 - its name everywhere

from worker.engine.s3gen.convolutionkernel import convolve_block
from worker.engine.s3gen.estimator import Attention, Layout
from worker.engine.s3gen.feedforwardkernel import finish_block
from worker.engine.s3gen.projectionkernel import project_normed
from worker.engine.s3gen.weights import Section


def run_fused_section(
    rows: torch.Tensor,
    layout: Layout,
    shift: torch.Tensor,
    section: Section,
    attend: Attention,
    num_heads: int,
) -> torch.Tensor:
    """Return what a resnet and the transformers behind it make of the rows, [R, C]."""
    first, second, shortcut = section.resnet
    hidden = convolve_block(rows, layout.mask, first, shift=shift)
    hidden = convolve_block(hidden, layout.mask, second, added=F.linear(rows, *shortcut))
    for block in section.transformers:
        joined = project_normed(hidden, block.norm1, block.qkv)
        attended = attend(joined.view(hidden.shape[0], 3, num_heads, -1), layout.table)
        hidden = finish_block(hidden, attended.flatten(1), block)
    return hidden
