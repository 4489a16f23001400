"""How the next speech token is chosen from the logits: the same numbers in the same order as chatterbox-tts.

Knows nothing of the model; V is the vocabulary of speech tokens, 8,194.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.errors import SegmentUnspeakableError, SynthesisError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """The parameters of one generation; a value that no model can use is refused here, before a GPU sees it.

    A temperature of 0 would divide by zero, and what follows ends a CUDA process for good. To always take the most
    likely token, set `min_p` to 1.
    """

    temperature: float = 0.8
    #: How far the text pulls: logits = cond + cfg_weight * (cond - uncond). 0 halves the work.
    cfg_weight: float = 0.5
    repetition_penalty: float = 1.2
    min_p: float = 0.05
    top_p: float = 1.0

    def __post_init__(self) -> None:
        _require("temperature", self.temperature, self.temperature > 0, "above 0")
        _require("cfg_weight", self.cfg_weight, self.cfg_weight >= 0, "0 or above")
        _require("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0, "above 0")
        _require("min_p", self.min_p, 0 <= self.min_p <= 1, "from 0 to 1")
        _require("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and up to 1")


#: Stands for a token when the logits were not finite.
_NO_TOKEN: Final = -1


def choose_token(
    logits: torch.Tensor,
    previous: torch.Tensor,
    sampling: Sampling,
    generator: torch.Generator | None,
) -> tuple[torch.Tensor, int]:
    """Draw one token. Waits for the device once.

    Args:
        logits: [1, V] float32, after guidance.
        previous: [1, N] int64, every token so far, the start token included.
        sampling: its `cfg_weight` is not used here.
        generator: of the device of the logits; None is torch's own, as in chatterbox-tts.

    Returns:
        The token as [1, 1] int64 on the device, and as a number.

    Raises:
        SynthesisError: the logits hold a NaN or an infinity. Drawing from them would end a CUDA process for good.
    """
    import torch

    is_finite = torch.isfinite(logits).all()
    logits = penalise_repetition(logits, previous, sampling.repetition_penalty)
    if sampling.temperature != 1.0:
        logits = logits / sampling.temperature
    logits = keep_top_p(keep_min_p(logits, sampling.min_p), sampling.top_p)
    # Equal probabilities are drawn instead of NaN, so that the device lives to tell.
    probabilities = torch.where(is_finite, torch.softmax(logits, dim=-1), 1.0 / logits.shape[-1])
    token = torch.multinomial(probabilities, num_samples=1, generator=generator)
    number = int(torch.where(is_finite, token, _NO_TOKEN).item())
    if number == _NO_TOKEN:
        raise SynthesisError("the model's logits are not finite: its weights are damaged or overflow in this precision")
    return token, number


def penalise_repetition(logits: torch.Tensor, previous: torch.Tensor, penalty: float) -> torch.Tensor:
    """Make tokens that were drawn before less likely (Keskar et al. 2019, arXiv 1909.05858, section 4.1)."""
    import torch

    scores = torch.gather(logits, 1, previous)
    scores = torch.where(scores < 0, scores * penalty, scores / penalty)
    return logits.scatter(1, previous, scores)


def keep_min_p(logits: torch.Tensor, min_p: float) -> torch.Tensor:
    """Drop tokens less likely than `min_p` times the likeliest (Nguyen et al. 2024, arXiv 2407.01082)."""
    import torch

    probabilities = torch.softmax(logits, dim=-1)
    floor = min_p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < floor, -math.inf)


def keep_top_p(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the likeliest tokens that together reach `top_p` (Holtzman et al. 2019, arXiv 1904.09751)."""
    if top_p >= 1.0:
        return logits
    ordered, order = logits.sort(dim=-1)
    is_dropped = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    is_dropped[..., -1:] = False
    return logits.masked_fill(is_dropped.scatter(1, order, is_dropped), -math.inf)


def _require(name: str, value: float, is_valid: bool, range_in_words: str) -> None:
    if not (math.isfinite(value) and is_valid):
        raise SegmentUnspeakableError(f"{name} must be {range_in_words}, not {value}")
