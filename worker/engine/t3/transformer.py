"""The backbone of T3, a Llama, over rows of a static cache: one position of many rows, or many positions of a few.

Knows nothing of tokens, slots or sampling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import (
    decode_attention,
    linear,
    linear_add_rms_norm,
    linear_silu_mul,
    prefill_attention,
    rms_norm,
    rope_and_store,
)
from worker.engine.t3.kv_cache import KVCache
from worker.engine.t3.weights import T3Weights

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

    def fill(self, hidden: torch.Tensor, rows: torch.Tensor, positions: torch.Tensor) -> None:
        """Compute many positions of some rows, for their keys and values only; each attends to those before it.

        The entries come in blocks, as `prefill_attention` takes them. A text that ends within a block is padded on
        the right: what is written behind its end is never read, because a row is read up to its length, and is
        overwritten when the row grows.

        Args:
            hidden: [B, C], whole blocks.
            rows: [B] int64.
            positions: [B] int64; those before a row's first one are in the cache.
        """
        last = len(self._weights.layers) - 1

        def attend(index: int, qkv: torch.Tensor) -> torch.Tensor | None:
            layer = self._cache.layer(index)
            q = rope_and_store(qkv, self._weights.cos, self._weights.sin, rows, positions, layer)
            return None if index == last else prefill_attention(q, layer, rows, positions).flatten(1)

        self._run(hidden, attend)

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
