"""In float32 a slot says the tokens of `generate_tokens` for the same noise, whatever slot, batch and order it has."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from t3decoding import GREEDY, MAX_TOKENS, SAMPLINGS, expected, make_decoder, make_prompt, run, speak
from tiny_t3 import ending_multilingual_t3, text_ids, tiny_t3

from worker.models.sampling import Sampling

#: torch and transformers warn of calls in the package.
pytestmark = pytest.mark.filterwarnings("default")

NUM_PROMPTS = 8


@cache
def english_tokens(number: int) -> tuple[list[int], bool]:
    return expected(tiny_t3(), make_prompt(number))


@cache
def ending_english_t3() -> Any:
    """Return a tiny English T3 that becomes more and more likely to end its speech, from some six tokens on.

    One number of each embedding tells the time; no layer writes to it, and the end token's row of the head reads it.
    """
    t3 = tiny_t3()
    with torch.no_grad():
        t3.speech_pos_emb.emb.weight[:, 0] = torch.arange(t3.speech_pos_emb.emb.num_embeddings) - 6.0
        t3.speech_emb.weight[:, 0] = 0.0
        t3.speech_head.weight[t3.hp.stop_speech_token] = 0.0
        t3.speech_head.weight[t3.hp.stop_speech_token, 0] = 1.0
        for layer in t3.tfmr.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
    return t3


def test_a_batch_of_every_kind_of_prompt_says_what_each_says_alone() -> None:
    numbers = range(NUM_PROMPTS)
    prompts = [make_prompt(number) for number in numbers]
    assert {prompt.sampling for prompt in prompts} == set(SAMPLINGS)
    assert speak(make_decoder(num_slots=NUM_PROMPTS), prompts) == [english_tokens(number) for number in numbers]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_size_of_the_batch_changes_no_token(size: int) -> None:
    plain = [number for number in range(NUM_PROMPTS) if SAMPLINGS[number % len(SAMPLINGS)] in (SAMPLINGS[0], GREEDY)]
    numbers = [*plain, *range(NUM_PROMPTS)][:size]
    # More slots than are used: the step has idle lanes.
    assert speak(make_decoder(num_slots=6), [make_prompt(number) for number in numbers]) == [
        english_tokens(number) for number in numbers
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6, 7), (7, 2, 5, 0, 3, 6, 1, 4)])
def test_order_and_time_of_admission_and_reuse_of_slots_change_no_token(order: tuple[int, ...]) -> None:
    """Four rows for eight prompts: each begins when there is room, beside neighbours that are somewhere else."""
    decoder = make_decoder(num_slots=2)
    waiting, slot_of, found = list(order), {}, {}
    while waiting or decoder.num_live:
        while waiting and decoder.can_admit([make_prompt(waiting[0])]):
            number = waiting.pop(0)
            slot_of[decoder.admit([make_prompt(number)])[0]] = number
        decoder.step()
        for spoken in decoder.poll():
            found[slot_of[spoken.slot]] = (spoken.tokens.tolist(), spoken.has_ended)
    assert found == {number: english_tokens(number) for number in order}


def test_a_speech_that_ends_itself_ends_beside_others_that_go_on() -> None:
    t3 = ending_english_t3()
    prompts = [make_prompt(number, max_tokens=4 + 15 * (number % 3)) for number in range(6)]
    alone = [expected(t3, prompt) for prompt in prompts]
    assert {has_ended for _, has_ended in alone} == {True, False}
    assert len({len(tokens) for tokens, _ in alone}) > 2
    assert speak(make_decoder(t3, num_slots=6), prompts) == alone


@pytest.mark.parametrize("num_tokens", [0, 1, 5])
def test_a_forced_end_comes_after_exactly_so_many_tokens(num_tokens: int) -> None:
    t3 = ending_english_t3()
    late = make_prompt(1, GREEDY, max_tokens=30, num_forced_tokens=20)
    early = make_prompt(0, GREEDY, num_forced_tokens=num_tokens)
    (early_tokens, early_ended), (late_tokens, late_ended) = speak(make_decoder(t3), [early, late])
    assert (len(early_tokens), early_ended, len(late_tokens), late_ended) == (num_tokens, True, 20, True)
    assert t3.hp.stop_speech_token not in late_tokens
    assert early_tokens == expected(t3, make_prompt(0, GREEDY))[0][:num_tokens]


@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_multilingual_texts_of_every_length_are_watched_as_by_the_stock_analysis(length: int) -> None:
    t3 = tiny_t3("multilingual")
    sampling = Sampling(repetition_penalty=1.0, cfg_weight=0.5 * (length % 2))
    prompts = [
        make_prompt(length, sampling, text_tokens=text_ids(length), max_tokens=8),
        make_prompt(7, Sampling(repetition_penalty=2.0), max_tokens=8),
    ]
    assert speak(make_decoder(t3), prompts) == [expected(t3, prompt) for prompt in prompts]


def test_multilingual_speech_is_ended_by_the_alignment_as_by_the_stock_analysis() -> None:
    t3 = ending_multilingual_t3()
    prompts = [
        make_prompt(0, Sampling(repetition_penalty=2.0), text_tokens=text_ids(8), max_tokens=40),
        make_prompt(1, GREEDY, text_tokens=text_ids(14), max_tokens=40),
        make_prompt(2, Sampling(repetition_penalty=1.0, cfg_weight=0), text_tokens=text_ids(3), max_tokens=40),
    ]
    alone = [expected(t3, prompt) for prompt in prompts]
    assert any(has_ended for _, has_ended in alone)
    assert speak(make_decoder(t3), prompts) == alone


def test_the_modules_of_t3_work_as_before_when_their_weights_have_been_joined() -> None:
    t3 = tiny_t3()
    before = expected(t3, make_prompt(0))
    names = {name: value.clone() for name, value in t3.state_dict().items()}
    decoder = make_decoder(t3)
    assert expected(t3, make_prompt(0)) == before
    assert all(torch.equal(value, names[name]) for name, value in t3.state_dict().items())
    layer = t3.tfmr.layers[0]
    joined = decoder._weights.layers[0]
    assert layer.self_attn.q_proj.weight.data_ptr() == joined.qkv.weight.data_ptr()
    assert layer.mlp.up_proj.weight.untyped_storage().data_ptr() == joined.gate_up.weight.untyped_storage().data_ptr()
    slot = decoder.admit([make_prompt(0)])[0]
    assert run(decoder)[slot].tokens.tolist() == before[0]
    assert len(before[0]) == MAX_TOKENS
