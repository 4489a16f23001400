"""What T3 is asked to speak, and what it has spoken.

Knows nothing of how it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from worker.models.sampling import Sampling


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """One text in one voice.

    Attributes:
        text_tokens: [T] int64 on the CPU, start and stop token included.
        voice: a `T3Cond`; never written to. All prompts of a voice should name the same object: what T3 makes of it
            is kept under its identity.
        exaggeration: how emotional; replaces that of the voice.
        sampling: how the tokens of this prompt are drawn.
        seed: from 0 to 2**32 - 1. The randomness of a step comes from the seed and the number of the step alone.
        max_tokens: the ceiling.
        num_forced_tokens: for benchmarks: speech ends after exactly so many tokens.
    """

    text_tokens: torch.Tensor
    voice: Any
    exaggeration: float
    sampling: Sampling
    seed: int
    max_tokens: int
    num_forced_tokens: int | None = None

    @property
    def num_rows(self) -> int:
        """Rows of the cache that it needs: with guidance a second one, for the voice without the text."""
        return 2 if self.sampling.cfg_weight > 0 else 1


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What came of a prompt.

    Attributes:
        slot: the slot it was spoken in; free again.
        tokens: [N] int64 on the CPU, without the end token.
        has_ended: whether the model ended the speech itself; if not, it ran into the ceiling.
        is_finite: False if the logits were not; the tokens are those before that.
        text_positions: [N] int16 on the CPU, of each token the text token of the prompt that was being spoken; None of
            a model whose attention is not watched.
    """

    slot: int
    tokens: torch.Tensor
    has_ended: bool
    is_finite: bool
    text_positions: torch.Tensor | None = None
