"""One decode step of T3: from the last token of each slot to its next one, all on the device.

Nothing here waits for the host or depends on data in its shape, so that a CUDA graph can hold the whole of it. Knows
nothing of graphs, prompts, or which slots exist.
"""

from __future__ import annotations

import math

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import linear
from worker.engine.t3.alignment import AlignmentWatch
from worker.engine.t3.lanes import Lanes, StepShape
from worker.engine.t3.noise import Noise
from worker.engine.t3.sampling import SlotSampling, draw, guide
from worker.engine.t3.slotstate import NOT_FORCED, SlotState
from worker.engine.t3.transformer import Transformer
from worker.engine.t3.weights import T3Weights


class DecodeStep:
    """The step, over the tensors that it reads and writes."""

    def __init__(
        self,
        weights: T3Weights,
        transformer: Transformer,
        state: SlotState,
        lanes: Lanes,
        *,
        draw_noise: Noise,
        alignment: AlignmentWatch | None,
    ) -> None:
        """Take what it works on.

        Args:
            weights: of T3.
            transformer: its backbone.
            state: of the slots; written to.
            lanes: which rows are computed.
            draw_noise: where randomness comes from.
            alignment: watches where in the text a slot is; None in the English model.
        """
        self._weights = weights
        self._transformer = transformer
        self._state = state
        self._lanes = lanes
        self._draw_noise = draw_noise
        self._alignment = alignment

    def __call__(self, shape: StepShape) -> None:
        """Draw one token for each slot that is not done."""
        rows, owners, partners = self._lanes.of(shape)
        logits = self._logits(rows, owners)
        sampling = SlotSampling.of(self._state, owners)
        logits = guide(logits[: shape.num_slots], logits[partners], sampling.cfg_weight)
        if self._alignment is not None:
            logits = self._alignment.judge(logits, owners)
        is_finite = torch.isfinite(logits).all(dim=-1)
        token = self._draw(logits, owners, sampling, has_top_p=shape.has_top_p)
        self._record(owners, token, is_finite)

    def _logits(self, rows: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
        """Feed the last token of each lane's slot; returns [L, V] float32."""
        state, weights = self._state, self._weights
        # Both rows of a slot are fed the token that their leader drew.
        leaders = state.leader[rows]
        hidden = (
            weights.speech_embedding[state.last_token[leaders]] + weights.speech_positions[state.num_tokens[leaders]]
        )
        watch = None if self._alignment is None else self._alignment.watch(owners)
        hidden = self._transformer.step(hidden, rows, state.length[leaders], watch=watch)
        return linear(hidden, weights.speech_head).float()

    def _draw(
        self, logits: torch.Tensor, owners: torch.Tensor, sampling: SlotSampling, *, has_top_p: bool
    ) -> torch.Tensor:
        """Return the next token of each slot [N]; where the end is forced, that comes when it is due and not before."""
        state, stop_token = self._state, self._weights.stop_token
        num_tokens, num_forced = state.num_tokens[owners], state.num_forced[owners]
        logits[:, stop_token].masked_fill_(num_forced != NOT_FORCED, -math.inf)
        noise = self._draw_noise(state.seed[owners], num_tokens, logits.shape[1])
        token = draw(logits, state.seen[owners], noise, sampling, has_top_p=has_top_p)
        return token.masked_fill(num_tokens == num_forced, stop_token)

    def _record(self, owners: torch.Tensor, token: torch.Tensor, is_finite: torch.Tensor) -> None:
        """Append the tokens [N] to their slots. A slot that is done stays as it is, to the last bit.

        Idle lanes all name the scratch row, which is done: they write what is there already.
        """
        state = self._state
        num_tokens, was_live = state.num_tokens[owners], state.is_done[owners] == 0
        is_end = token == self._weights.stop_token
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
