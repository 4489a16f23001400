"""Random numbers that depend on a seed, a step and a token, and on nothing else.

A counter-based generator: no state, so a slot draws the same whatever else is in the batch, on every device. Knows
nothing of probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

#: (seeds [N], steps [N], V) -> noise [N, V] float32, exponentially distributed.
Noise = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]

#: The constants of Philox 4x32 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", table 2).
MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS: Final = (0x9E3779B9, 0xBB67AE85)
NUM_ROUNDS: Final = 10

_MASK: Final = 0xFFFFFFFF


def exponential_noise(seeds: torch.Tensor, steps: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Return one exponentially distributed number for each slot and token.

    Token t takes word t mod 4 of the block whose counter is (t div 4, step, 0, 0) and whose key is (seed, 0).

    Args:
        seeds: [N] int64, each from 0 to 2**32 - 1.
        steps: [N] int64.
        num_tokens: V.

    Returns:
        [N, V] float32, above 0.
    """
    counters = torch.arange(-(-num_tokens // 4), device=seeds.device).expand(seeds.shape[0], -1)
    words = philox(seeds.unsqueeze(1), counters, steps.unsqueeze(1).expand_as(counters))
    return to_exponential(words.flatten(1)[:, :num_tokens])


def to_exponential(words: torch.Tensor) -> torch.Tensor:
    """Turn random words from 0 to 2**32 - 1 into exponentially distributed numbers.

    The upper 23 bits and a half fit float32 exactly, and are neither 0 nor 1.
    """
    uniform = ((words >> 9).float() + 0.5) * 2.0**-23
    return -torch.log(uniform)


def philox(key: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Compute Philox 4x32-10 (Salmon et al. 2011) of the key (key, 0) and the counter (first, second, 0, 0).

    Args:
        key: int64, 32 bits of it used; broadcast against the counters.
        first: int64, the counter that runs.
        second: int64, of the same shape.

    Returns:
        int64 [..., 4], each from 0 to 2**32 - 1.
    """
    keys = [key, torch.zeros_like(key)]
    words = [first, second, torch.zeros_like(first), torch.zeros_like(first)]
    for _ in range(NUM_ROUNDS):
        high0, low0 = _multiply(words[0], MULTIPLIERS[0])
        high1, low1 = _multiply(words[2], MULTIPLIERS[1])
        words = [high1 ^ words[1] ^ keys[0], low1, high0 ^ words[3] ^ keys[1], low0]
        keys = [(word + step) & _MASK for word, step in zip(keys, KEY_INCREMENTS, strict=True)]
    return torch.stack(words, dim=-1)


def _multiply(words: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the upper and the lower half of a 64-bit product, without a 64-bit unsigned type."""
    upper, lower = words * (factor >> 16), words * (factor & 0xFFFF)
    # words * factor = upper * 2**16 + lower, each below 2**48.
    return (upper + (lower >> 16)) >> 16, ((upper << 16) + lower) & _MASK
