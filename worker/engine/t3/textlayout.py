"""Lays texts one behind the other on one row of entries, so that a prefill of any lengths has one dimension.

Done on the host, before anything is copied. Knows nothing of layers or of the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import PREFILL_BLOCK
from worker.engine.t3.prompt import Prompt

#: What an entry reads: a text token at its position, the position alone (without the text), or the start token.
WORD: Final = 0
NO_WORD: Final = 1
START: Final = 2


def num_entries(prompt: Prompt) -> int:
    """Return how many entries a prompt takes: of each row its text and the start token, to the end of a block."""
    return prompt.num_rows * _whole_blocks(prompt.text_tokens.numel() + 1)


def lay_out(
    prompts: Sequence[Prompt],
    rows: Sequence[Sequence[int]],
    *,
    num_voice_positions: int,
    num_positions: int,
) -> torch.Tensor:
    """Return what a prefill of some prompts computes.

    Args:
        prompts: what they speak.
        rows: of each, its rows of the cache; the second one, if there is one, reads no text.
        num_voice_positions: where texts begin.
        num_positions: of a row; padding that would lie behind its last one is written to that.

    Returns:
        [4, B] int64 on the CPU: row, position, token, and what is read of it.
    """
    parts = []
    for prompt, own_rows in zip(prompts, rows, strict=True):
        num_text = prompt.text_tokens.numel()
        width = _whole_blocks(num_text + 1)
        positions = (num_voice_positions + torch.arange(width)).clamp(max=num_positions - 1)
        tokens = torch.nn.functional.pad(prompt.text_tokens, (0, width - num_text))
        for row, kind in zip(own_rows, (WORD, NO_WORD), strict=False):
            kinds = torch.full((width,), NO_WORD)
            kinds[:num_text], kinds[num_text] = kind, START
            parts.append(torch.stack([torch.full((width,), row), positions, tokens, kinds]))
    return torch.cat(parts, dim=1)


def pad(entries: torch.Tensor, size: int, *, scratch_row: int) -> torch.Tensor:
    """Return entries [4, B] with blocks behind them up to [4, size], which write the beginning of the scratch row."""
    num_missing = size - entries.shape[1]
    positions = torch.arange(PREFILL_BLOCK).repeat(num_missing // PREFILL_BLOCK)
    zeros = torch.zeros_like(positions)
    return torch.cat([entries, torch.stack([zeros + scratch_row, positions, zeros, zeros + NO_WORD])], dim=1)


def _whole_blocks(num_entries: int) -> int:
    return -(-num_entries // PREFILL_BLOCK) * PREFILL_BLOCK
