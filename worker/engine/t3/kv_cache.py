"""The keys and values of all rows: one allocation for the life of the decoder, so that CUDA graphs can name it.

Beside int8 weights they are rounded to eight bits, with a scale for each key and each value
(docs/decisions/0011-kv-cache.md). Knows nothing of who uses a row, or how far it is filled.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import KVLayer
from worker.engine.t3.weights import T3Weights

#: The beginning of a row as `copy_prefix` gives it: [2, layers, H, positions, D]; scales [layers, H, positions, 2].
Prefix = tuple[torch.Tensor, torch.Tensor | None]


class KVCache:
    """R rows of S positions for each layer, and a scratch row behind them that idle lanes write to.

    Attributes:
        values: [2, layers, R + 1, H, S, D], keys first; in the precision of the activations, or int8.
        absmax: None, or beside int8 [layers, R + 1, H, S, 2] float16, as in a `KVLayer`.
    """

    def __init__(self, weights: T3Weights, *, num_rows: int, num_positions: int) -> None:
        """Allocate it, filled with zeros, on the device of the weights.

        Args:
            weights: of the T3 that it is for.
            num_rows: R; the scratch row comes on top.
            num_positions: S.
        """
        is_rounded = weights.precision == "int8"
        shape = (len(weights.layers), num_rows + 1, weights.num_heads, num_positions)
        dtype, device = torch.int8 if is_rounded else weights.dtype, weights.device
        self.values = torch.zeros(2, *shape, weights.head_size, dtype=dtype, device=device)
        self.absmax = torch.zeros(*shape, 2, dtype=torch.float16, device=device) if is_rounded else None
        self.scratch_row = num_rows
        self.num_positions = num_positions

    def layer(self, index: int) -> KVLayer:
        """Return the keys and the values of a layer."""
        absmax = None if self.absmax is None else self.absmax[index]
        return KVLayer(self.values[0, index], self.values[1, index], absmax)

    def copy_prefix(self, row: int, num_positions: int) -> Prefix:
        """Return a copy of the first positions of a row, of all layers."""
        absmax = None if self.absmax is None else self.absmax[:, row, :, :num_positions].clone()
        return self.values[:, :, row, :, :num_positions].clone(), absmax

    def write_prefix(self, rows: torch.Tensor, prefix: Prefix) -> None:
        """Write what `copy_prefix` gave to the beginning of some rows [B] int64, on the device."""
        values, absmax = prefix
        num_positions = values.shape[3]
        self.values[:, :, rows, :, :num_positions] = values.unsqueeze(2)
        if self.absmax is not None and absmax is not None:
            self.absmax[:, rows, :, :num_positions] = absmax.unsqueeze(1)
