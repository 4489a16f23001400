"""Random numbers that follow from a seed and a position alone: Philox, counted, on any device.

An utterance gets the same numbers alone and in any batch, at any place of it, padded or not, on the CPU and on every
GPU (there up to the last digit of the logarithm and the cosine). torch's own generators promise none of this: what
they give depends on the shape that is asked for. Knows nothing of speech.
"""

from __future__ import annotations

import math
from typing import Final

import torch  # noqa: TID253 - the renderer is loaded where the GPU is

_WORD: Final = 0xFFFFFFFF
#: Multipliers and key increments of Philox4x32, from the paper.
_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_INCREMENTS: Final = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS: Final = 10

#: Numbers that one position of the counter gives.
WORDS_PER_COUNT: Final = 4


def random_words(seeds: torch.Tensor, counts: torch.Tensor, subcounts: torch.Tensor, *, stream: int) -> torch.Tensor:
    """Return four random words for each counter position: Philox4x32-10.

    Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Words of 32 bits are kept in
    int64, because torch has few operations on unsigned numbers; a product that wraps around keeps its bits.

    Args:
        seeds: int64, 0 <= seed < 2**64 as bits; seeds, counts and subcounts are broadcast against each other.
        counts: int64, below 2**32.
        subcounts: int64, below 2**32.
        stream: tells uses of one seed apart, below 2**32.

    Returns:
        [..., 4] int64, each in 0 .. 2**32 - 1, on the device of the arguments.
    """
    words = [counts, subcounts, torch.full_like(counts, stream), torch.zeros_like(counts)]
    keys = [seeds & _WORD, (seeds >> 32) & _WORD]
    for _ in range(_NUM_ROUNDS):
        products = [words[0] * _MULTIPLIERS[0], words[2] * _MULTIPLIERS[1]]
        high = [(product >> 32) & _WORD for product in products]
        low = [product & _WORD for product in products]
        words = [high[1] ^ words[1] ^ keys[0], low[1], high[0] ^ words[3] ^ keys[1], low[0]]
        keys = [(key + increment) & _WORD for key, increment in zip(keys, _INCREMENTS, strict=True)]
    return torch.stack(words, dim=-1)


def uniforms(words: torch.Tensor) -> torch.Tensor:
    """Return words as float32 numbers in (0, 1]."""
    return ((words >> 8) + 1).float() * 2.0**-24


def normals(words: torch.Tensor) -> torch.Tensor:
    """Return words, [..., 4], as as many float32 numbers of the normal distribution (Box and Muller, 1958)."""
    radius = (-2.0 * uniforms(words[..., 0::2]).log()).sqrt()
    angle = (2.0 * math.pi) * uniforms(words[..., 1::2])
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)


#: The stream of the flow's noise; that of the vocoder is another.
FLOW_STREAM: Final = 0x666C6F77


def flow_noise(seeds: torch.Tensor, frames: torch.Tensor, num_mels: int) -> torch.Tensor:
    """Return the noise that the flow starts from.

    Args:
        seeds: [F] int64, the seed of the utterance that each frame belongs to.
        frames: [F] int64, the frame's number within its utterance, the prompt's frames counted.
        num_mels: a multiple of 4.

    Returns:
        [F, num_mels] float32; a row depends on its own seed and number only.
    """
    quads = torch.arange(num_mels // WORDS_PER_COUNT, device=seeds.device)
    words = random_words(seeds[:, None], frames[:, None], quads[None], stream=FLOW_STREAM)
    return normals(words).flatten(1)
