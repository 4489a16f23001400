"""How each slot of a batch draws its next token: `worker.models.sampling` for many at once, without asking the host.

The same numbers in the same order, each slot with its own parameters. Knows nothing of layers or rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.slotstate import SlotState


@dataclass(frozen=True, slots=True, eq=False)
class SlotSampling:
    """The parameters of N slots, each [N, 1] float32."""

    temperature: torch.Tensor
    cfg_weight: torch.Tensor
    repetition_penalty: torch.Tensor
    min_p: torch.Tensor
    max_dropped: torch.Tensor

    @classmethod
    def of(cls, state: SlotState, slots: torch.Tensor) -> SlotSampling:
        """Gather those of some slots [N]."""
        return cls(
            state.temperature[slots].unsqueeze(1),
            state.cfg_weight[slots].unsqueeze(1),
            state.repetition_penalty[slots].unsqueeze(1),
            state.min_p[slots].unsqueeze(1),
            state.max_dropped[slots].unsqueeze(1),
        )


def guide(with_text: torch.Tensor, without_text: torch.Tensor, cfg_weight: torch.Tensor) -> torch.Tensor:
    """Join two logits [N, V] float32 (Ho & Salimans 2022, arXiv 2207.12598).

    A slot without guidance has a weight of 0 and its own logits on both sides, which changes no bit of them.
    """
    return with_text + cfg_weight * (with_text - without_text)


def draw(
    logits: torch.Tensor, seen: torch.Tensor, noise: torch.Tensor, sampling: SlotSampling, *, has_top_p: bool
) -> torch.Tensor:
    """Draw a token for each slot.

    As `torch.multinomial` does for one token: the largest p / e wins, where e is exponentially distributed
    (the exponential race; Gumbel's trick in other words).

    Args:
        logits: [N, V] float32, after guidance.
        seen: [N, V] bool, what the repetition penalty is for.
        noise: [N, V] float32, exponentially distributed.
        sampling: of these slots.
        has_top_p: whether some slot has a top_p below 1; only then the logits are sorted.

    Returns:
        [N] int64, below V. Of logits that are not finite it means nothing.
    """
    logits = penalise_repetition(logits, seen, sampling.repetition_penalty) / sampling.temperature
    logits = keep_min_p(logits, sampling.min_p)
    if has_top_p:
        logits = keep_top_p(logits, sampling.max_dropped)
    return (torch.softmax(logits, dim=-1) / noise).argmax(dim=-1)


def penalise_repetition(logits: torch.Tensor, seen: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    """Make tokens that were drawn before less likely (Keskar et al. 2019, arXiv 1909.05858, section 4.1)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def keep_min_p(logits: torch.Tensor, min_p: torch.Tensor) -> torch.Tensor:
    """Drop tokens less likely than `min_p` times the likeliest (Nguyen et al. 2024, arXiv 2407.01082)."""
    probabilities = torch.softmax(logits, dim=-1)
    floor = min_p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < floor, -math.inf)


def keep_top_p(logits: torch.Tensor, max_dropped: torch.Tensor) -> torch.Tensor:
    """Keep the likeliest tokens that together reach 1 - `max_dropped` (Holtzman et al. 2019, arXiv 1904.09751)."""
    ordered, order = logits.sort(dim=-1)
    is_dropped = ordered.softmax(dim=-1).cumsum(dim=-1) <= max_dropped
    is_dropped[:, -1] = False
    is_dropped = is_dropped.scatter(1, order, is_dropped)
    # A slot without top_p keeps all: rounding in the sum must not cost it a token.
    return logits.masked_fill(is_dropped & (max_dropped > 0), -math.inf)
