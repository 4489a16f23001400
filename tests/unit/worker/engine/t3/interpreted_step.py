"""Compares the fused beginning and end of a step with the plain ones, in Triton's interpreter.

Run by `test_fused_step.py` in a process of its own: Triton decides at import whether it interprets, and in a test
process it may be imported already.
"""

from __future__ import annotations

import sys
from typing import Any

import torch  # noqa: TID253 - the whole script is about tensors

from worker.engine.t3.fuseddraw import draw_and_record
from worker.engine.t3.fusedfeed import feed
from worker.engine.t3.sampler import Sampler
from worker.engine.t3.slotstate import SlotState

NUM_SLOTS, NUM_STEPS, STOP, POISONED = 6, 7, 3001, 4
#: Two blocks of the kernel, the second one cut short.
VOCABULARY = 3004


def make_state() -> SlotState:
    state = SlotState(
        num_rows=8, num_positions=16, num_speech_tokens=VOCABULARY, start_token=3000, device=torch.device("cpu")
    )
    lanes = slice(0, NUM_SLOTS)
    state.is_done[lanes], state.is_finite[lanes] = 0, 1
    state.max_tokens[lanes] = torch.tensor([5, 6, 20, 20, 20, 20])
    state.num_forced[lanes] = torch.tensor([-1, -1, 2, 0, -1, -1])
    state.seed[lanes] = torch.tensor([1, 2**32 - 1, 3, 4, 5, 6])
    state.min_p[lanes] = torch.tensor([0.05, 0.0, 0.05, 0.05, 0.05, 1.0])
    state.cfg_weight[lanes] = torch.tensor([0.5, 0.0, 1.0, 0.5, 0.5, 0.5])
    state.repetition_penalty[lanes] = torch.tensor([1.2, 2.0, 1.0, 1.2, 1.2, 5.0])
    state.temperature[lanes] = torch.tensor([0.8, 1.0, 1.3, 0.8, 0.8, 0.8])
    state.seen[:, 3000] = True
    return state


def draw(fused: bool, logits: torch.Tensor, verdicts: torch.Tensor) -> SlotState:
    """Draw all steps; lane 6 is idle, and works on the scratch row."""
    state = make_state()
    owners = torch.tensor([0, 1, 2, 3, 4, 5, 8])
    partners = torch.tensor([7, 1, 8, 9, 10, 11, 6])
    sampler = Sampler(state, stop_token=STOP)
    for values, verdict in zip(logits, verdicts, strict=True):
        arguments: list[Any] = [values.clone(), owners, partners, verdict]
        if fused:
            draw_and_record(*arguments, state, stop_token=STOP)
        else:
            sampler(*arguments, has_top_p=False)
    return state


def check_feed() -> None:
    """Two rows of slot 0, the row of slot 5, and an idle lane."""
    state = make_state()
    state.leader[3], state.length[:6], state.num_tokens[:6] = 0, torch.arange(40, 46), torch.arange(6)
    state.last_token[:6] = torch.tensor([11, 0, 0, 0, 0, 3003])
    for dtype in (torch.float32, torch.float16):
        embedding, places = torch.randn(VOCABULARY, 40).to(dtype), torch.randn(10, 40).to(dtype)
        hidden, positions = feed(torch.tensor([0, 3, 5, 8]), state, embedding, places)
        assert torch.equal(hidden[0], embedding[11] + places[0])
        assert torch.equal(hidden[1], hidden[0])
        assert torch.equal(hidden[2], embedding[3003] + places[5])
        assert positions.tolist() == [40, 40, 45, 0]


def main() -> None:
    check_feed()
    torch.manual_seed(0)
    logits = 4 * torch.randn(NUM_STEPS, 12, VOCABULARY)
    logits[3, POISONED, 17] = float("nan")
    # Slot 5 is greedy; the same token would win each time but for the penalty.
    logits[:, 5, 9], logits[:, 11, 9] = 40.0, 40.0
    verdicts = torch.zeros(NUM_STEPS, 7, dtype=torch.long)
    logits[:, 0, STOP], logits[:, 7, STOP] = 60.0, 60.0
    verdicts[:4, 0] = 1
    verdicts[4, 1] = 2
    fused, plain = draw(True, logits, verdicts), draw(False, logits, verdicts)
    for name in ("watched", "length", "last_token", "output", "seen"):
        found, expected = getattr(fused, name)[..., :8], getattr(plain, name)[..., :8]
        if name in ("output", "seen"):
            found, expected = getattr(fused, name)[:8], getattr(plain, name)[:8]
        assert torch.equal(found, expected), name
    assert plain.num_tokens[:6].tolist() == [4, 4, 2, 0, 3, 7]
    assert plain.has_ended[:6].tolist() == [1, 1, 1, 1, 0, 0]
    assert plain.is_finite[:6].tolist() == [1, 1, 1, 1, 0, 1]
    assert fused.is_done[8] == 1
    assert fused.num_tokens[8] == 0
    sys.stdout.write("equal\n")


if __name__ == "__main__":
    main()
