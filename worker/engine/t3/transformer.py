"""The backbone of T3, a Llama, over rows of a static cache: one position of many rows, or many positions of a few.

Knows nothing of tokens, slots or sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch  # noqa: TID253 - imported with the engine that needs it
import torch.nn.functional as F  # noqa: N812, TID253

from worker.engine.kernels import (
    decode_attention,
    linear,
    linear_add_rms_norm,
    linear_silu_mul,
    rms_norm,
    rope_and_store,
)
from worker.engine.t3.kv_cache import KVCache
from worker.engine.t3.weights import T3Weights
from worker.models.generation import attention_kernels

#: (layer, queries [L, H, D]): is shown the queries of each layer of a step, after its keys have been stored.
Watch = Callable[[int, torch.Tensor], None]


class Transformer:
    """A Llama (Touvron et al. 2023, arXiv 2302.13971) that keeps its keys and values in a `KVCache`."""

    def __init__(self, weights: T3Weights, cache: KVCache) -> None:
        """Take both; neither is copied."""
        self._weights = weights
        self._cache = cache

    def step(
        self, hidden: torch.Tensor, rows: torch.Tensor, positions: torch.Tensor, *, watch: Watch | None = None
    ) -> torch.Tensor:
        """Compute one position of each row, which attends to all positions of its row up to itself.

        Args:
            hidden: [L, C], what is read.
            rows: [L] int64; a row may occur twice only if nobody needs it.
            positions: [L] int64, where in its row; keys and values are written there.
            watch: sees the queries.

        Returns:
            [L, C], normalised.
        """
        lengths = positions + 1

        def attend(index: int, qkv: torch.Tensor) -> torch.Tensor:
            layer = self._cache.layer(index)
            q = rope_and_store(qkv, self._weights.cos, self._weights.sin, rows, positions, layer)
            if watch is not None:
                watch(index, q)
            return decode_attention(q, layer, rows, lengths).flatten(1)

        return self._run(hidden, attend)

    def fill(self, hidden: torch.Tensor, rows: torch.Tensor, *, start: int) -> None:
        """Compute many positions of some rows, for their keys and values only.

        A shorter text is padded on the right: what is written behind its end is never read, because a row is read up
        to its length, and is overwritten when the row grows.

        Args:
            hidden: [B, T, C].
            rows: [B] int64, distinct.
            start: the position of the first T; what lies before it is in the cache and is attended to.
        """
        num_rows, num_tokens, _ = hidden.shape
        end, device = start + num_tokens, hidden.device
        positions = torch.arange(start, end, device=device)
        flat_rows, flat_positions = rows.repeat_interleave(num_tokens), positions.repeat(num_rows)
        bias = _causal_bias(positions, end, hidden.dtype)
        last = len(self._weights.layers) - 1

        def attend(index: int, qkv: torch.Tensor) -> torch.Tensor | None:
            layer = self._cache.layer(index)
            q = rope_and_store(qkv, self._weights.cos, self._weights.sin, flat_rows, flat_positions, layer)
            if index == last:
                return None
            q = q.view(num_rows, num_tokens, *q.shape[1:]).transpose(1, 2)
            keys, values = (part.to(q.dtype) for part in layer.read(rows, end))
            attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
            return attended.transpose(1, 2).flatten(2).flatten(0, 1)

        with attention_kernels(hidden.dtype):
            self._run(hidden.flatten(0, 1), attend)

    def _run(self, hidden: torch.Tensor, attend: Callable[[int, torch.Tensor], torch.Tensor | None]) -> torch.Tensor:
        """Run the layers over hidden [M, C]; where `attend` gives None, what follows is not needed."""
        layers, eps = self._weights.layers, self._weights.norm_eps
        norms_after = [layer.attention_norm for layer in layers[1:]] + [self._weights.final_norm]
        residual = hidden
        normed = rms_norm(hidden, layers[0].attention_norm, eps)
        for index, layer in enumerate(layers):
            attended = attend(index, linear(normed, layer.qkv))
            if attended is None:
                break
            normed, residual = linear_add_rms_norm(attended, layer.output, residual, layer.mlp_norm, eps)
            lifted = linear_silu_mul(normed, layer.gate_up)
            normed, residual = linear_add_rms_norm(lifted, layer.down, residual, norms_after[index], eps)
        return normed


def _causal_bias(positions: torch.Tensor, end: int, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to the scores so that a position sees itself and those before: [T, end], 0 or -inf.

    Made once for all layers. Its rows begin at multiples of 16 numbers, or the attention would copy it in each layer.
    """
    columns = torch.arange(-(-end // 16) * 16, device=positions.device)
    is_hidden = columns > positions.unsqueeze(1)
    return torch.zeros(is_hidden.shape, dtype=dtype, device=positions.device).masked_fill(is_hidden, -math.inf)[:, :end]
