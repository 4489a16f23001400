"""Where in the text each slot of the multilingual T3 is, and what that says about the end of its speech.

The rules of `AlignmentStreamAnalyzer` of chatterbox-tts 0.1.7, for many slots at once and on the device: the end is
suppressed before the text has been spoken, and forced when the speech lingers on the end of the text, goes back into
it, or repeats a token. The stock one keeps all attention ever paid; the sums kept here say the same. What it computes
of a false start has no effect there, and is left out. Knows nothing of how tokens are drawn.
"""

from __future__ import annotations

import math
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.kv_cache import KVCache
from worker.engine.t3.slotstate import SlotState
from worker.engine.t3.transformer import Watch
from worker.engine.t3.weights import T3Weights
from worker.models.alignment import MIN_TEXT_TOKENS

#: What a verdict says of the end token: as likely as the model finds it, not now, now.
AS_IT_IS: Final = 0
SUPPRESSED: Final = 1
FORCED: Final = 2
#: What the stock analysis writes into the logits for "never" and, without the sign, for "certainly".
NEVER: Final = -(2.0**15)

#: Tokens at the end of the text that count as its end.
_NUM_LAST: Final = 3
#: Tokens at the end of the text that it is no repetition to look at.
_NUM_LATE: Final = 5
#: Attention, summed over steps, from which on lingering or going back is too much; the unit is one step's attention.
_MAX_ATTENTION: Final = 5.0
#: A jump in the text of fewer tokens back or ahead is believed.
_MAX_BACK: Final = 4
_MAX_AHEAD: Final = 7


class AlignmentWatch:
    """The analysis of all slots. Every tensor is on the device and indexed by the row that leads a slot.

    Attributes:
        position: [R + 1] int64: the text token that is being spoken.
        trail: [R + 1, S] int16: of each token drawn, the position when it was drawn; behind the last one anything.
        is_complete: [R + 1] bool: the end of the text has been reached.
        lingered: [R + 1, 3] float32: attention to each of the last text tokens since then.
        went_back: [R + 1] float32: attention to earlier text since then.
    """

    def __init__(self, weights: T3Weights, cache: KVCache, state: SlotState) -> None:
        """Allocate it for the rows of a cache."""
        self._heads = weights.analysed_heads
        self._text_start = weights.num_voice_positions
        self._cache = cache
        self._state = state
        num_rows, device = cache.scratch_row + 1, weights.device
        self.position = torch.zeros(num_rows, dtype=torch.long, device=device)
        self.trail = torch.zeros(num_rows, cache.num_positions, dtype=torch.int16, device=device)
        self.is_complete = torch.zeros(num_rows, dtype=torch.bool, device=device)
        self.lingered = torch.zeros(num_rows, _NUM_LAST, dtype=torch.float32, device=device)
        self.went_back = torch.zeros(num_rows, dtype=torch.float32, device=device)
        self._attention: list[torch.Tensor | None] = [None] * len(self._heads)

    def begin(self, slots: torch.Tensor) -> None:
        """Forget what was in some slots [N] int64."""
        for values in (self.position, self.trail, self.is_complete, self.lingered, self.went_back):
            values.index_fill_(0, slots, 0)

    def watch(self, slots: torch.Tensor) -> Watch:
        """Return what looks at the queries of a step, whose first N lanes lead these slots [N]."""
        lengths = (self._state.length[slots] + 1).unsqueeze(1)
        is_read = torch.arange(self._cache.num_positions, device=slots.device) < lengths

        def look(layer: int, queries: torch.Tensor) -> None:
            for index, (watched_layer, head) in enumerate(self._heads):
                if watched_layer == layer:
                    keys = self._cache.layer(layer).keys_of(slots, head)
                    query = queries[: slots.shape[0], head]
                    self._attention[index] = self._text_attention(query, keys, is_read)

        return look

    def judge(self, slots: torch.Tensor) -> torch.Tensor:
        """Take in the attention that the last step paid, and say what it means for the end.

        Returns:
            [N] int64: `AS_IT_IS`, `SUPPRESSED` or `FORCED`.
        """
        num_text, num_tokens = self._state.num_text[slots], self._state.num_tokens[slots]
        attention = self._mean_attention(num_text, num_tokens)
        spoken = attention.argmax(dim=-1)
        was_complete = self.is_complete[slots]
        self._move(slots, spoken, num_text, num_tokens)
        self._add_up(slots, attention, num_text, was_complete)
        is_complete = self.is_complete[slots]
        lingers = self.lingered[slots].amax(dim=-1) >= _MAX_ATTENTION
        goes_back = self.went_back[slots] > _MAX_ATTENTION
        is_forced = (is_complete & (lingers | goes_back)) | self._repeats(slots, num_tokens)
        verdict = torch.where(spoken < num_text - _NUM_LAST, SUPPRESSED, AS_IT_IS)
        verdict = verdict.masked_fill(is_forced, FORCED)
        return verdict.masked_fill(num_text < MIN_TEXT_TOKENS, AS_IT_IS)

    def _text_attention(self, query: torch.Tensor, keys: torch.Tensor, is_read: torch.Tensor) -> torch.Tensor:
        """Return what one head pays to the text, and to what follows it: [N, S - voice] float32.

        Args:
            query: [N, D].
            keys: [N, S, D] float32.
            is_read: [N, S] bool.
        """
        scores = torch.bmm(keys, query.float().unsqueeze(2)).squeeze(2) / math.sqrt(query.shape[1])
        return scores.masked_fill(~is_read, -math.inf).softmax(dim=-1)[:, self._text_start :]

    def _mean_attention(self, num_text: torch.Tensor, num_tokens: torch.Tensor) -> torch.Tensor:
        """Return the mean over the heads, zero behind the text, and where so early the speech cannot be: [N, S']."""
        heads = [attention for attention in self._attention if attention is not None]
        attention = torch.stack(heads).mean(dim=0)
        columns = torch.arange(attention.shape[1], device=attention.device)
        is_kept = (columns < num_text.unsqueeze(1)) & (columns <= num_tokens.unsqueeze(1))
        return attention.masked_fill(~is_kept, 0.0)

    def _move(
        self, slots: torch.Tensor, spoken: torch.Tensor, num_text: torch.Tensor, num_tokens: torch.Tensor
    ) -> None:
        """Follow the speech to the text token that it looks at, unless that is too far away to be believed."""
        position = self.position[slots]
        jump = spoken - position
        position = torch.where((jump > -_MAX_BACK) & (jump < _MAX_AHEAD), spoken, position)
        self.position[slots] = position
        # A slot that is done writes behind its last token, at one and the same place, in each step that it idles in.
        self.trail[slots, num_tokens] = position.to(torch.int16)
        self.is_complete[slots] |= position >= num_text - _NUM_LAST

    def _add_up(
        self, slots: torch.Tensor, attention: torch.Tensor, num_text: torch.Tensor, was_complete: torch.Tensor
    ) -> None:
        """Add a step's attention to the sums of the slots whose text had been spoken before it."""
        last = (num_text - _NUM_LAST).clamp(min=0).unsqueeze(1) + torch.arange(_NUM_LAST, device=slots.device)
        lingered = attention.gather(1, last)
        self.lingered[slots] += torch.where(was_complete.unsqueeze(1), lingered, 0.0)
        columns = torch.arange(attention.shape[1], device=slots.device)
        early = attention.masked_fill(columns >= (num_text - _NUM_LATE).unsqueeze(1), 0.0).amax(dim=-1)
        self.went_back[slots] += torch.where(was_complete, early, 0.0)

    def _repeats(self, slots: torch.Tensor, num_tokens: torch.Tensor) -> torch.Tensor:
        """Return whether the last two tokens of each slot are the same one."""
        before_last = self._state.output[slots, (num_tokens - 2).clamp(min=0)]
        return (num_tokens >= 2) & (before_last == self._state.last_token[slots])


def apply_verdict(logits: torch.Tensor, verdict: torch.Tensor, stop_token: int) -> torch.Tensor:
    """Write a verdict [N] into logits [N, V], with the numbers that the stock analysis writes."""
    verdict = verdict.unsqueeze(1)
    is_stop = torch.arange(logits.shape[1], device=logits.device) == stop_token
    logits = torch.where((verdict == SUPPRESSED) & is_stop, NEVER, logits)
    return torch.where(verdict == FORCED, torch.where(is_stop, -NEVER, NEVER), logits)
