"""Texts of any lengths lie one behind the other in whole blocks; each entry says what it reads and where it goes."""

from __future__ import annotations

import torch  # noqa: TID253 - the tests compare tensors
from t3decoding import make_prompt
from tiny_t3 import text_ids

from worker.engine.kernels import PREFILL_BLOCK
from worker.engine.t3.textlayout import NO_WORD, START, WORD, lay_out, num_entries, pad
from worker.models.sampling import Sampling


def test_each_row_of_a_prompt_is_a_text_of_its_own() -> None:
    guided = make_prompt(0, text_tokens=text_ids(38))
    unguided = make_prompt(1, Sampling(cfg_weight=0.0), text_tokens=text_ids(29))
    entries = lay_out([guided, unguided], [(4, 7), (2,)], num_voice_positions=34, num_positions=200)
    assert [num_entries(guided), num_entries(unguided), entries.shape[1]] == [128, 32, 160]
    rows, positions, tokens, kinds = entries
    assert rows.tolist() == [4] * 64 + [7] * 64 + [2] * 32
    assert positions.tolist() == [*range(34, 98), *range(34, 98), *range(34, 66)]
    assert torch.equal(tokens[:40], guided.text_tokens)
    assert kinds[:64].tolist() == [WORD] * 40 + [START] + [NO_WORD] * 23
    assert kinds[64:128].tolist() == [NO_WORD] * 40 + [START] + [NO_WORD] * 23
    assert kinds[128:].tolist() == [WORD] * 31 + [START]


def test_padding_never_leaves_its_row() -> None:
    prompt = make_prompt(0, text_tokens=text_ids(31))
    entries = lay_out([prompt], [(0, 1)], num_voice_positions=34, num_positions=70)
    assert entries[1].max() == 69
    assert entries[1, :34].tolist() == list(range(34, 68))


def test_what_fills_up_a_graph_writes_the_scratch_row_alone() -> None:
    entries = lay_out([make_prompt(3)], [(5,)], num_voice_positions=34, num_positions=200)
    padded = pad(entries, 128, scratch_row=9)
    assert torch.equal(padded[:, : entries.shape[1]], entries)
    rows, positions, tokens, kinds = padded[:, entries.shape[1] :]
    assert set(rows.tolist()) == {9}
    assert positions.view(-1, PREFILL_BLOCK).tolist() == [list(range(PREFILL_BLOCK))] * (rows.numel() // PREFILL_BLOCK)
    assert not tokens.any()
    assert set(kinds.tolist()) == {NO_WORD}
