"""One decode step of T3: from the last token of each slot to its next one, all on the device.

Nothing here waits for the host or depends on data in its shape, so that a CUDA graph can hold the whole of it. Knows
nothing of graphs, prompts, or which slots exist.
"""

from __future__ import annotations

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.kernels import linear
from worker.engine.t3.alignment import AlignmentWatch
from worker.engine.t3.lanes import Lanes, StepShape
from worker.engine.t3.sampler import Sampler
from worker.engine.t3.slotstate import SlotState
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
        sampler: Sampler,
        *,
        alignment: AlignmentWatch | None,
    ) -> None:
        """Take what it works on.

        Args:
            weights: of T3.
            transformer: its backbone.
            state: of the slots.
            lanes: which rows are computed.
            sampler: draws the tokens and writes them into the state.
            alignment: watches where in the text a slot is; None in the English model.
        """
        self._weights = weights
        self._transformer = transformer
        self._state = state
        self._lanes = lanes
        self._sampler = sampler
        self._alignment = alignment

    def __call__(self, shape: StepShape) -> None:
        """Draw one token for each slot that is not done."""
        rows, owners, partners = self._lanes.of(shape)
        logits = self._logits(rows, owners)
        verdict = None if self._alignment is None else self._alignment.judge(owners)
        self._sampler(logits, owners, partners, verdict, has_top_p=shape.has_top_p)

    def _logits(self, rows: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
        """Feed the last token of each lane's slot; returns [L, V]."""
        watch = None if self._alignment is None else self._alignment.watch(owners)
        hidden, positions = self._feed(rows)
        hidden = self._transformer.step(hidden, rows, positions, watch=watch)
        return linear(hidden, self._weights.speech_head)

    def _feed(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what each lane reads [L, C], and the position in its row [L]."""
        state, weights = self._state, self._weights
        if rows.is_cuda:
            from worker.engine.t3.fusedfeed import feed

            return feed(rows, state, weights.speech_embedding, weights.speech_positions)
        # Both rows of a slot are fed the token that their leader drew.
        leaders = state.leader[rows]
        words = weights.speech_embedding[state.last_token[leaders]]
        return words + weights.speech_positions[state.num_tokens[leaders]], state.length[leaders]
