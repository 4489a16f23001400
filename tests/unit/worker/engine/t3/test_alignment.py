"""The alignment on the device says what the stock analysis says, step for step, to attention made up here."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from tiny_t3 import text_ids  # noqa: F401 - silences what the packages warn of when they are first imported

from worker.engine.kernels import KVLayer
from worker.engine.t3.alignment import AS_IT_IS, FORCED, SUPPRESSED, AlignmentWatch, apply_verdict
from worker.engine.t3.slotstate import SlotState
from worker.models.alignment import _analyzer_class

NUM_VOICE, NUM_POSITIONS, NUM_STEPS, VOCABULARY, START, STOP = 34, 120, 60, 50, 48, 49
TEXT_LENGTHS = [6, 7, 12, 26]

#: Where in a text of S tokens a speech looks at a step: a reader, one who stays at the end, one who goes back, one who
#: jumps, and one who never arrives.
WALKS = {
    "reads": lambda step, length: min(step // 2, length + 20),
    "lingers": lambda step, length: min(step, length - 2),
    "goes back": lambda step, length: (
        min(step, length - 1) if step < length + 3 else (step - length) % max(length - 6, 1)
    ),
    "jumps": lambda step, length: (step * 7) % length,
    "stays behind": lambda step, length: min(step // 4, length - 5),
}


class StockAnalysis:
    """The stock analyzer of one text, told what attention there was instead of finding it in a model."""

    def __init__(self, num_text: int) -> None:
        layer = SimpleNamespace(self_attn=torch.nn.Identity())
        model = SimpleNamespace(layers=[layer] * 14)
        text = (NUM_VOICE, NUM_VOICE + num_text)
        self._analyzer = _analyzer_class()(model, None, text_tokens_slice=text, eos_idx=STOP)
        self._num_text = num_text

    def verdict(self, heads: torch.Tensor, step: int, next_token: int) -> int:
        """Return what becomes of the end token; heads: [3, S] attention to the text."""
        width = NUM_VOICE + self._num_text + 2 + step
        # The first step looks at everything read so far, the two start tokens at its end included.
        attention = torch.zeros(3, width if step == 0 else 1, width)
        attention[:, -2:, NUM_VOICE : NUM_VOICE + self._num_text] = heads.unsqueeze(1)
        self._analyzer.last_aligned_attns = list(attention)
        logits = self._analyzer.step(torch.zeros(1, VOCABULARY), next_token=next_token)
        return {2.0**15: FORCED, -(2.0**15): SUPPRESSED, 0.0: AS_IT_IS}[logits[0, STOP].item()]

    @property
    def position(self) -> int:
        """The text token that was spoken at the last step."""
        return int(self._analyzer.text_position)


def make_up_attention(centre: int, num_text: int, generator: torch.Generator) -> torch.Tensor:
    """Return what three heads pay to a text [3, S], with most of it near a place."""
    distance = (torch.arange(num_text) - centre).abs()
    peaks = torch.softmax(-distance * (0.5 + 2 * torch.rand(3, 1, generator=generator)), dim=-1)
    return peaks * (0.3 + 0.7 * torch.rand(3, 1, generator=generator))


def make_watch(num_slots: int) -> tuple[AlignmentWatch, SlotState]:
    state = SlotState(
        num_rows=num_slots,
        num_positions=NUM_POSITIONS,
        num_speech_tokens=VOCABULARY,
        start_token=START,
        device=torch.device("cpu"),
    )
    weights: Any = SimpleNamespace(
        analysed_heads=((12, 15), (13, 11), (9, 2)), num_voice_positions=NUM_VOICE, device=torch.device("cpu")
    )
    cache: Any = SimpleNamespace(scratch_row=num_slots, num_positions=NUM_POSITIONS)
    return AlignmentWatch(weights, cache, state), state


@pytest.mark.parametrize("has_repeats", [False, True])
def test_every_verdict_and_position_is_that_of_the_stock_analysis(has_repeats: bool) -> None:
    cases = [(length, walk) for length in TEXT_LENGTHS for walk in WALKS]
    generator = torch.Generator().manual_seed(5)
    watch, state = make_watch(len(cases))
    stock = [StockAnalysis(length) for length, _ in cases]
    slots = torch.arange(len(cases))
    state.num_text[slots] = torch.tensor([length for length, _ in cases])
    watch.begin(slots)
    tokens = [START] * len(cases)
    seen, positions = set(), []
    for step in range(NUM_STEPS):
        heads = torch.zeros(3, len(cases), NUM_POSITIONS - NUM_VOICE)
        for index, (length, walk) in enumerate(cases):
            heads[:, index, :length] = make_up_attention(WALKS[walk](step, length), length, generator)
            # What lies behind the text is attended to as well, and is none of it.
            heads[:, index, length:] = 0.9
        watch._attention = list(heads)
        found = watch.judge(slots).tolist()
        expected = [
            analysis.verdict(heads[:, index, : cases[index][0]], step, tokens[index])
            for index, analysis in enumerate(stock)
        ]
        assert found == expected, f"step {step}"
        positions.append([analysis.position for analysis in stock])
        seen.update((walk, verdict) for (_, walk), verdict in zip(cases, found, strict=True))
        tokens = torch.randint(0, 4 if has_repeats else 48, (len(cases),), generator=generator).tolist()
        if not has_repeats:
            tokens = [(7 * step + index) % 48 for index in range(len(cases))]
        state.output[slots, step], state.last_token[slots] = torch.tensor(tokens), torch.tensor(tokens)
        state.num_tokens[slots] += 1
    assert watch.trail[slots, :NUM_STEPS].T.tolist() == positions
    assert not watch.trail[slots, NUM_STEPS:].any()
    assert len({tuple(course) for course in zip(*positions, strict=True)}) > len(WALKS)
    assert ("lingers", FORCED) in seen
    assert ("goes back", FORCED) in seen
    assert ("stays behind", SUPPRESSED) in seen
    assert ("lingers", AS_IT_IS) in seen
    assert (("stays behind", FORCED) in seen) == has_repeats


def test_a_slot_that_begins_remembers_nothing_of_the_one_before() -> None:
    watch, _ = make_watch(3)
    for values in (watch.position, watch.trail, watch.is_complete, watch.lingered, watch.went_back):
        values.fill_(1)
    watch.begin(torch.tensor([1]))
    assert [values[1].any().item() for values in (watch.position, watch.is_complete, watch.went_back)] == [False] * 3
    assert not watch.lingered[1].any()
    assert not watch.trail[1].any()
    assert watch.lingered[0].all()
    assert watch.trail[0].all()


def test_only_one_head_of_each_watched_layer_and_only_positions_read_so_far_are_looked_at() -> None:
    watch, state = make_watch(2)
    keys = torch.randn(3, 16, NUM_POSITIONS, 8, generator=torch.Generator().manual_seed(1))
    queries = torch.randn(4, 16, 8, generator=torch.Generator().manual_seed(2))
    watch._cache.layer = lambda _layer: KVLayer(keys, keys)
    state.length[:2] = torch.tensor([60, 80])
    slots = torch.tensor([1, 0])
    keys[1, :, 81:], keys[0, :, 61:] = float("nan"), float("nan")
    look = watch.watch(slots)
    for layer in range(14):
        look(layer, queries)
    scores = (keys[1, 11, :81] @ queries[0, 11]) / math.sqrt(8)
    found = watch._attention[1]
    torch.testing.assert_close(found[0, : 81 - NUM_VOICE], scores.softmax(-1)[NUM_VOICE:])
    assert not found[0, 81 - NUM_VOICE :].any()


def test_a_verdict_leaves_the_logits_of_other_slots_alone() -> None:
    logits = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(1))
    found = apply_verdict(logits, torch.tensor([AS_IT_IS, SUPPRESSED, FORCED]), STOP)
    assert torch.equal(found[0], logits[0])
    assert torch.equal(found[1, :STOP], logits[1, :STOP])
    assert (found[1, STOP], found[2, STOP], found[2, 0]) == (-(2.0**15), 2.0**15, -(2.0**15))
