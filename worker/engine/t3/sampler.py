"""Draws the next token of each slot and records it: one kernel on CUDA, plain torch elsewhere.

Knows nothing of layers or rows of the cache.
"""

from __future__ import annotations

import math

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.alignment import apply_verdict
from worker.engine.t3.noise import Noise, exponential_noise
from worker.engine.t3.sampling import SlotSampling, draw, guide
from worker.engine.t3.slotstate import NOT_FORCED, SlotState


class Sampler:
    """Turns logits into tokens, with the parameters that each slot has."""

    def __init__(self, state: SlotState, *, stop_token: int, draw_noise: Noise | None = None) -> None:
        """Take what it works on.

        Args:
            state: of the slots; written to.
            stop_token: ends the speech.
            draw_noise: another source of randomness than `exponential_noise`.
        """
        self._state = state
        self._stop_token = stop_token
        self._draw_noise = draw_noise

    def __call__(
        self,
        logits: torch.Tensor,
        owners: torch.Tensor,
        partners: torch.Tensor,
        verdict: torch.Tensor | None,
        *,
        has_top_p: bool,
    ) -> None:
        """Draw one token for each slot that is not done.

        Args:
            logits: [L, V], of all lanes; the first N are those with text.
            owners: [N] int64, the row of the state of each.
            partners: [N] int64, the lane with the logits without text.
            verdict: [N] int64, what the alignment says of the end; None if there is none.
            has_top_p: whether some slot has a top_p below 1.
        """
        if logits.is_cuda and self._draw_noise is None and not has_top_p:
            from worker.engine.t3.fuseddraw import draw_and_record

            draw_and_record(logits, owners, partners, verdict, self._state, stop_token=self._stop_token)
            return
        sampling = SlotSampling.of(self._state, owners)
        logits = logits.float()
        logits = guide(logits[: owners.shape[0]], logits[partners], sampling.cfg_weight)
        if verdict is not None:
            logits = apply_verdict(logits, verdict, self._stop_token)
        is_finite = torch.isfinite(logits).all(dim=-1)
        self._record(owners, self._draw(logits, owners, sampling, has_top_p=has_top_p), is_finite)

    def _draw(
        self, logits: torch.Tensor, owners: torch.Tensor, sampling: SlotSampling, *, has_top_p: bool
    ) -> torch.Tensor:
        """Return the next token of each slot [N]; a forced end comes when it is due and not before."""
        state = self._state
        num_tokens, num_forced = state.num_tokens[owners], state.num_forced[owners]
        logits[:, self._stop_token].masked_fill_(num_forced != NOT_FORCED, -math.inf)
        draw_noise = self._draw_noise or exponential_noise
        noise = draw_noise(state.seed[owners], num_tokens, logits.shape[1])
        token = draw(logits, state.seen[owners], noise, sampling, has_top_p=has_top_p)
        return token.masked_fill(num_tokens == num_forced, self._stop_token)

    def _record(self, owners: torch.Tensor, token: torch.Tensor, is_finite: torch.Tensor) -> None:
        """Append the tokens [N] to their slots. A slot that is done stays as it is, to the last bit.

        Idle lanes all name the scratch row, which is done: they write what is there already.
        """
        state = self._state
        num_tokens, was_live = state.num_tokens[owners], state.is_done[owners] == 0
        is_end = token == self._stop_token
        is_kept = was_live & is_finite & ~is_end
        state.output[owners, num_tokens] = torch.where(is_kept, token, state.output[owners, num_tokens])
        state.seen[owners, token] |= is_kept
        state.last_token[owners] = torch.where(is_kept, token, state.last_token[owners])
        state.length[owners] += is_kept
        num_tokens = num_tokens + is_kept
        state.num_tokens[owners] = num_tokens
        is_done = ~is_kept | (num_tokens >= state.max_tokens[owners])
        state.is_done[owners] = is_done.long()
        state.has_ended[owners] += was_live & is_finite & is_end
        state.is_finite[owners] *= is_finite | ~was_live
