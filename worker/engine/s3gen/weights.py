"""The weights of the flow's estimator, arranged for packed rows.

Knows the stock module's structure and nothing of how it is run.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch  # noqa: TID253 - the renderer is loaded where the GPU is

from worker.errors import ModelLoadError


class Affine(NamedTuple):
    """A matrix, [out, in], and what is added to its product, [out], or the scale and shift of a norm, both [C]."""

    weight: torch.Tensor
    bias: torch.Tensor


class CausalBlock(NamedTuple):
    """A causal convolution of three taps and the norm behind it."""

    #: weight: [out, 3 C], the taps side by side, the oldest frame first.
    conv: Affine
    norm: Affine


class Resnet(NamedTuple):
    """Two causal blocks beside a projection."""

    first: CausalBlock
    second: CausalBlock
    shortcut: Affine


class Transformer(NamedTuple):
    """Attention and a feed-forward network, each behind a norm."""

    norm1: Affine
    #: [3 H D, C]: query, key and value in one product; they have no bias.
    qkv: torch.Tensor
    out: Affine
    norm2: Affine
    up: Affine
    down: Affine


class Section(NamedTuple):
    """A resnet and the transformers behind it."""

    resnet: Resnet
    transformers: tuple[Transformer, ...]


class EstimatorWeights(NamedTuple):
    """All that one call of the estimator multiplies with."""

    down: Section
    down_conv: Affine
    middle: tuple[Section, ...]
    up: Section
    up_conv: Affine
    final: CausalBlock
    projection: Affine
    num_heads: int


def arrange_weights(estimator: Any, *, dtype: torch.dtype, device: torch.device) -> EstimatorWeights:
    """Return the weights of a stock estimator, convolutions turned into matrices, query, key and value joined.

    Args:
        estimator: `ConditionalDecoder` of chatterbox-tts, in float32, on any device; left as it is.
        dtype: of the result.
        device: of the result. What differs from the estimator's own is made where that is and then moved, so the
            device never holds more than the result.

    Raises:
        ModelLoadError: it has another structure than that of chatterbox-tts 0.1.7.
    """
    num_levels = (len(estimator.down_blocks), len(estimator.up_blocks))
    if num_levels != (1, 1) or estimator.meanflow or not estimator.causal or estimator.static_chunk_size:
        raise ModelLoadError("this flow is not the one of chatterbox-tts 0.1.7: its estimator has another structure")
    down, down_transformers, down_conv = estimator.down_blocks[0]
    up, up_transformers, up_conv = estimator.up_blocks[0]
    arranged = EstimatorWeights(
        down=_section(down, down_transformers),
        down_conv=_conv(down_conv),
        middle=tuple(_section(resnet, transformers) for resnet, transformers in estimator.mid_blocks),
        up=_section(up, up_transformers),
        up_conv=_conv(up_conv),
        final=_block(estimator.final_block),
        projection=_conv(estimator.final_proj),
        num_heads=down_transformers[0].attn1.heads,
    )
    moved: EstimatorWeights = _moved(arranged, dtype, device)
    return moved


def on_device(module: Any, device: torch.device) -> Any:
    """Return the module itself if its weights are on the device, else a copy there; the module stays as it is."""
    if all(parameter.device.type == device.type for parameter in module.parameters()):
        return module
    return copy.deepcopy(module).to(device)


def _conv(conv: Any) -> Affine:
    """Turn [out, C, taps] into [out, taps C]: a row times it is the convolution at the row's last frame."""
    return Affine(conv.weight.detach().permute(0, 2, 1).flatten(1), conv.bias.detach())


def _affine(module: Any) -> Affine:
    return Affine(module.weight.detach(), module.bias.detach())


def _block(block: Any) -> CausalBlock:
    return CausalBlock(_conv(block.block[0]), _affine(block.block[2]))


def _section(resnet: Any, transformers: Any) -> Section:
    return Section(
        Resnet(_block(resnet.block1), _block(resnet.block2), _conv(resnet.res_conv)),
        tuple(_transformer(transformer) for transformer in transformers),
    )


def _transformer(block: Any) -> Transformer:
    attention, feed_forward = block.attn1, block.ff.net
    joined = torch.cat([part.weight.detach() for part in (attention.to_q, attention.to_k, attention.to_v)])
    return Transformer(
        norm1=_affine(block.norm1),
        qkv=joined,
        out=_affine(attention.to_out[0]),
        norm2=_affine(block.norm3),
        up=_affine(feed_forward[0].proj),
        down=_affine(feed_forward[2]),
    )


def _moved(part: Any, dtype: torch.dtype, device: torch.device) -> Any:
    if isinstance(part, torch.Tensor):
        return part.to(dtype=dtype).contiguous().to(device)
    if isinstance(part, int):
        return part
    parts = [_moved(inner, dtype, device) for inner in part]
    return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
