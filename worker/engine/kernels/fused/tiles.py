"""How the int8 product is cut into programs, for each number of rows: a table, so that a start searches for nothing.

Knows nothing of the kernel. `python -m bench.kernels --tune` makes the table anew on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Tile:
    """What one program computes, and how.

    Attributes:
        block_m: rows of the input; 0 for the kernel without tensor cores, which takes all rows.
        block_n: outputs.
        block_k: inputs taken at once.
        num_splits: programs that share one output, each with its part of the inputs.
        num_warps: of 32 threads; four with tensor cores.
        num_stages: blocks of inputs in flight.
    """

    block_m: int
    block_n: int
    block_k: int
    num_splits: int = 1
    num_warps: int = 4
    num_stages: int = 4


#: Up to this many rows, multiply without tensor cores: the weights come from memory more slowly than they are used.
MAX_FEW_ROWS: Final = 4
#: Above this many rows, a prefill, the weight is converted once for all of them and multiplied by cuBLAS.
MAX_FUSED_ROWS: Final = 512
#: Weights of a program without tensor cores: 8 KiB, all of them in flight at once.
FEW_ROWS_WEIGHTS: Final = 8192

#: (N, K) -> for each bucket of rows, its largest number of rows and its tile; the last one also serves what is above.
#: 16, 64 and 256 rows were searched on an H200 (`bench/results/kernels_products.json`), and give the same numbers every
#: time (`bench/results/gpu_repeatability.json`).
TILES: Final[dict[tuple[int, int], dict[int, Tile]]] = {
    (3072, 1024): {
        16: Tile(16, 32, 256),
        32: Tile(32, 32, 128),
        64: Tile(32, 64, 128),
        128: Tile(64, 64, 128),
        256: Tile(128, 64, 128),
        512: Tile(128, 64, 64),
    },
    (1024, 1024): {
        16: Tile(16, 32, 128, num_splits=4),
        32: Tile(32, 64, 128, num_splits=4),
        64: Tile(32, 64, 64, num_splits=4),
        128: Tile(64, 64, 128, num_splits=2),
        256: Tile(64, 64, 128),
        512: Tile(64, 64, 128),
    },
    (8192, 1024): {
        16: Tile(16, 32, 128),
        32: Tile(32, 64, 128),
        64: Tile(64, 64, 128),
        128: Tile(128, 64, 64),
        256: Tile(256, 64, 64),
        512: Tile(128, 64, 64),
    },
    (1024, 4096): {
        16: Tile(16, 32, 256, num_splits=4),
        32: Tile(32, 64, 128, num_splits=8),
        64: Tile(32, 64, 128, num_splits=4),
        128: Tile(128, 64, 128, num_splits=4),
        256: Tile(128, 64, 128, num_splits=4),
        512: Tile(128, 64, 64, num_splits=2),
    },
}

#: The same for a product that is gated, by the numbers of gates and inputs: each output is two sums.
GATED_TILES: Final[dict[tuple[int, int], dict[int, Tile]]] = {
    (4096, 1024): {
        16: Tile(16, 32, 256, num_stages=3),
        32: Tile(32, 32, 128),
        64: Tile(32, 64, 128, num_stages=3),
        128: Tile(64, 64, 64),
        256: Tile(128, 64, 64),
        512: Tile(64, 64, 64),
    },
}

#: For shapes that are not T3's.
OTHER: Final[dict[int, Tile]] = {32: Tile(32, 64, 64), 1024: Tile(128, 64, 64)}


def tile_for(num_rows: int, num_outputs: int, num_inputs: int) -> Tile:
    """Return how to multiply [num_rows, num_inputs] by [num_outputs, num_inputs]."""
    # The head has two outputs more than the MLP has, and is cut like it.
    buckets = TILES.get((num_outputs // 16 * 16, num_inputs), OTHER)
    return _choose(buckets, num_rows, few_rows_tile(num_inputs))


def gated_tile_for(num_rows: int, num_outputs: int, num_inputs: int) -> Tile:
    """Return how to multiply [num_rows, num_inputs] by [2 num_outputs, num_inputs] and gate the product."""
    few = few_rows_tile(num_inputs)
    few = replace(few, block_n=max(1, few.block_n // 2))
    return _choose(GATED_TILES.get((num_outputs, num_inputs), OTHER), num_rows, few)


def few_rows_tile(num_inputs: int) -> Tile:
    """Return the tile without tensor cores for layers of so many inputs: whole rows of the weight."""
    block_k = 1 << (num_inputs - 1).bit_length()
    return Tile(0, max(1, FEW_ROWS_WEIGHTS // block_k), block_k, num_stages=1)


def _choose(buckets: dict[int, Tile], num_rows: int, few: Tile) -> Tile:
    bucket = min((rows for rows in buckets if rows >= num_rows), default=max(buckets))
    return few if num_rows <= MAX_FEW_ROWS < bucket else buckets[bucket]
