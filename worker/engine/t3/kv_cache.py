"""The keys and values of all rows: one allocation for the life of the decoder, so that CUDA graphs can name it.

Knows nothing of who uses a row, or how far it is filled.
"""

from __future__ import annotations

from typing import Any

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.weights import T3Weights


class KVCache:
    """R rows of S positions for each layer, and a scratch row behind them that idle lanes write to."""

    def __init__(self, weights: T3Weights, *, num_rows: int, num_positions: int) -> None:
        """Allocate it, filled with zeros, on the device and in the precision of the weights.

        Args:
            weights: of the T3 that it is for.
            num_rows: R; the scratch row comes on top.
            num_positions: S.
        """
        shape = (2, len(weights.layers), num_rows + 1, weights.num_heads, num_positions, weights.head_size)
        self.values = torch.zeros(shape, dtype=weights.dtype, device=weights.device)
        self.scratch_row = num_rows
        self.num_positions = num_positions

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the keys and the values of a layer, each [R + 1, H, S, D]."""
        return self.values[0, index], self.values[1, index]

    def copy_prefix(self, row: int, num_positions: int) -> torch.Tensor:
        """Return a copy of the first positions of a row, of all layers: [2, layers, H, positions, D]."""
        return self.values[:, :, row, :, :num_positions].clone()

    def write_prefix(self, rows: torch.Tensor, prefix: torch.Tensor) -> None:
        """Write what `copy_prefix` gave to the beginning of some rows.

        Args:
            rows: [B] int64 on the device.
            prefix: [2, layers, H, positions, D].
        """
        self.values[:, :, rows, :, : prefix.shape[3]] = prefix.unsqueeze(2)

    @staticmethod
    def row_bytes(t3: Any, num_positions: int) -> int:
        """Return what a row takes for a loaded T3."""
        config = t3.tfmr.config
        num_numbers = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * num_positions
        return int(num_numbers * t3.speech_emb.weight.dtype.itemsize)
