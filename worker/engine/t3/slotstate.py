"""What the device knows of each slot: one column of a few tensors, indexed by the row that leads the slot.

A decode step reads and writes it without asking the host. Knows nothing of layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch  # noqa: TID253 - imported with the engine that needs it

from worker.engine.t3.prompt import Prompt
from worker.engine.transfer import to_device

#: The host watches these; they lie first, so that one copy fetches them.
_WATCHED: Final = ("num_tokens", "is_done", "has_ended", "is_finite")
_INTEGERS: Final = (
    *_WATCHED,
    "length",
    "last_token",
    "leader",
    "seed",
    "max_tokens",
    "num_forced",
    "num_text",
)
_REALS: Final = ("temperature", "cfg_weight", "repetition_penalty", "min_p", "max_dropped")

#: Stands for a slot whose end is not forced.
NOT_FORCED: Final = -1


class SlotState:
    """The state of R rows and the scratch row. Every tensor is on the device.

    Attributes:
        num_tokens: [R + 1] int64: tokens drawn so far, which is also the number of the step.
        is_done: [R + 1] int64, 0 or 1: nothing of this slot changes any more. The scratch row is always done.
        has_ended: [R + 1] int64, 0 or 1: done because the model said so.
        is_finite: [R + 1] int64, 0 or 1: the logits were numbers so far.
        length: [R + 1] int64: positions of its rows that are filled.
        last_token: [R + 1] int64: the token that the next step feeds.
        leader: [R + 1] int64: of a row, the one that leads its slot; itself, or the conditional one of two.
        max_dropped: [R + 1] float32: 1 - top_p.
        seen: [R + 1, V] bool: tokens drawn so far, and the start token.
        output: [R + 1, S] int64: the tokens drawn.
    """

    num_tokens: torch.Tensor
    is_done: torch.Tensor
    has_ended: torch.Tensor
    is_finite: torch.Tensor
    length: torch.Tensor
    last_token: torch.Tensor
    leader: torch.Tensor
    seed: torch.Tensor
    max_tokens: torch.Tensor
    num_forced: torch.Tensor
    num_text: torch.Tensor
    temperature: torch.Tensor
    cfg_weight: torch.Tensor
    repetition_penalty: torch.Tensor
    min_p: torch.Tensor
    max_dropped: torch.Tensor

    def __init__(
        self, *, num_rows: int, num_positions: int, num_speech_tokens: int, start_token: int, device: torch.device
    ) -> None:
        """Allocate the state of rows without slots: all of them are done.

        Args:
            num_rows: R.
            num_positions: S, more than any slot may draw.
            num_speech_tokens: V.
            start_token: what the first step feeds.
            device: where.
        """
        self._integers = torch.zeros(len(_INTEGERS), num_rows + 1, dtype=torch.long, device=device)
        self._reals = torch.ones(len(_REALS), num_rows + 1, dtype=torch.float32, device=device)
        for names, table in ((_INTEGERS, self._integers), (_REALS, self._reals)):
            for name, column in zip(names, table, strict=True):
                setattr(self, name, column)
        self.watched = self._integers[: len(_WATCHED)]
        self.seen = torch.zeros(num_rows + 1, num_speech_tokens, dtype=torch.bool, device=device)
        self.output = torch.zeros(num_rows + 1, num_positions, dtype=torch.long, device=device)
        self._start_token = start_token
        self.is_done.fill_(1)
        self.leader.copy_(torch.arange(num_rows + 1))
        self.last_token.fill_(start_token)
        self.num_forced.fill_(NOT_FORCED)

    def begin(
        self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]], *, num_voice_positions: int
    ) -> torch.Tensor:
        """Set the state of new slots. Launches only.

        Args:
            prompts: what they speak.
            rows: of each, its rows, the leading one first.
            num_voice_positions: positions before the text.

        Returns:
            All their rows, int64 on the device.
        """
        integers, reals, all_rows = [], [], []
        for prompt, own_rows in zip(prompts, rows, strict=True):
            for row in own_rows:
                all_rows.append(row)
                integers.append(self._first_integers(prompt, own_rows[0], num_voice_positions))
                reals.append(_reals_of(prompt))
        device = self.seen.device
        index = to_device(torch.tensor(all_rows), device)
        self._integers.index_copy_(1, index, to_device(torch.tensor(integers).T.contiguous(), device))
        self._reals.index_copy_(1, index, to_device(torch.tensor(reals, dtype=torch.float32).T.contiguous(), device))
        self.seen.index_fill_(0, index, value=False)
        self.seen[:, self._start_token].index_fill_(0, index, value=True)
        return index

    def _first_integers(self, prompt: Prompt, leader: int, num_voice_positions: int) -> list[int]:
        values = {
            "num_tokens": 0,
            "is_done": 0,
            "has_ended": 0,
            "is_finite": 1,
            # Voice, text and the first of two start tokens; the second one is what the first step feeds.
            "length": num_voice_positions + prompt.text_tokens.numel() + 1,
            "last_token": self._start_token,
            "leader": leader,
            "seed": prompt.seed,
            "max_tokens": prompt.max_tokens,
            "num_forced": NOT_FORCED if prompt.num_forced_tokens is None else prompt.num_forced_tokens,
            "num_text": prompt.text_tokens.numel(),
        }
        return [values[name] for name in _INTEGERS]


def _reals_of(prompt: Prompt) -> list[float]:
    sampling = prompt.sampling
    values = {
        "temperature": sampling.temperature,
        "cfg_weight": sampling.cfg_weight,
        "repetition_penalty": sampling.repetition_penalty,
        "min_p": sampling.min_p,
        "max_dropped": 1 - sampling.top_p,
    }
    return [values[name] for name in _REALS]
