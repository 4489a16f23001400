"""The estimator's section for a GPU: `worker.engine.s3gen.estimator.run_section` with fewer passes over memory.

The products are cuBLAS' own. What stands between them is fused: norm, Mish and time into the convolution, the residual
sums into the norms, GELU into the product before it. Knows nothing of what surrounds a section.
"""

from __future__ import annotations

import torch  # noqa: TID253 - loaded on a GPU only
from torch.nn import functional as F  # noqa: N812, TID253 - its name everywhere

from worker.engine.s3gen.convolutionkernel import convolve_block
from worker.engine.s3gen.estimator import Attention, Layout
from worker.engine.s3gen.normkernel import add_norm
from worker.engine.s3gen.weights import Affine, Section


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
    normed = F.layer_norm(hidden, hidden.shape[-1:], *section.transformers[0].norm1)
    for block, following in zip(section.transformers, (*section.transformers[1:], None), strict=True):
        joined = F.linear(normed, block.qkv).view(hidden.shape[0], 3, num_heads, -1)
        attended = attend(joined, layout.table).flatten(1)
        hidden, normed = add_norm(hidden, F.linear(attended, *block.out), block.norm2)
        fed = F.linear(linear_gelu(normed, block.up), *block.down)
        if following is None:
            hidden = hidden + fed
        else:
            hidden, normed = add_norm(hidden, fed, following.norm1)
    return hidden


def linear_gelu(rows: torch.Tensor, affine: Affine) -> torch.Tensor:
    """Return GELU of a product, [R, out], in one pass on CUDA.

    cuBLAS has GELU by the hyperbolic tangent only (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2), which is
    off by less than 5e-4 where half precision rounds by up to 8e-3.
    """
    activated: torch.Tensor = torch._addmm_activation(affine.bias, rows, affine.weight.T, use_gelu=True)
    return activated
