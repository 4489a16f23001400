"""Where in the text each token was spoken is what the stock loop's analysis says, whatever slot and company it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch  # noqa: TID253 - a test writes into a tensor
from t3decoding import GREEDY, expected, make_decoder, make_prompt, run
from tiny_t3 import ending_multilingual_t3, text_ids, tiny_t3

from worker.engine.t3.prompt import Prompt
from worker.models import generation
from worker.models.alignment import watch_alignment
from worker.models.sampling import Sampling

#: torch and transformers warn of calls in the package.
pytestmark = pytest.mark.filterwarnings("default")

NUM_PROMPTS = 5


@cache
def ending_t3() -> Any:
    return ending_multilingual_t3()


def prompt(number: int) -> Prompt:
    """Return one of five: texts of several lengths, with and without guidance; the last is cut off at its ceiling."""
    lengths, ceilings = (8, 14, 11, 20, 9), (40, 40, 40, 40, 5)
    samplings = (Sampling(repetition_penalty=2.0), GREEDY, Sampling(cfg_weight=0.0))
    return make_prompt(
        number, samplings[number % 3], text_tokens=text_ids(lengths[number]), max_tokens=ceilings[number]
    )


@cache
def alone(number: int) -> tuple[list[int], list[int]]:
    """Return the tokens of `generate_tokens`, and the positions of the stock analysis beside them."""
    positions: list[int] = []

    @contextmanager
    def noting(t3: Any, **places: int) -> Iterator[Any]:
        with watch_alignment(t3, **places) as analyzer:
            step = analyzer.step

            def step_and_note(logits: Any, **tokens: Any) -> Any:
                logits = step(logits, **tokens)
                positions.append(int(analyzer.text_position))
                return logits

            analyzer.step = step_and_note
            yield analyzer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "watch_alignment", noting)
        tokens, _ = expected(ending_t3(), prompt(number))
    # The step that draws the end looks somewhere too, and nothing is heard of it.
    return tokens, positions[: len(tokens)]


def heard(spoken: Any) -> tuple[list[int], list[int]]:
    assert spoken.text_positions.shape == spoken.tokens.shape
    return spoken.tokens.tolist(), spoken.text_positions.tolist()


@pytest.mark.parametrize("order", [(0,), (0, 1, 2, 3, 4), (4, 2, 3, 0, 1)])
def test_positions_are_those_of_the_stock_analysis_in_any_company(order: tuple[int, ...]) -> None:
    decoder = make_decoder(ending_t3(), num_slots=6)
    slots = decoder.admit([prompt(number) for number in order])
    found = run(decoder)
    assert [heard(found[slot]) for slot in slots] == [alone(number) for number in order]
    assert any(len(set(alone(number)[1])) > 3 for number in order)


def test_a_slot_that_is_used_again_has_nothing_of_the_one_before() -> None:
    """One slot, from the longest to the shortest and back; what nobody has drawn yet is poisoned."""
    decoder = make_decoder(ending_t3(), num_slots=1)
    assert decoder._alignment is not None
    for number in (3, 4, 0, 3):
        with torch.inference_mode():
            decoder._alignment.trail.fill_(-7)
        (slot,) = decoder.admit([prompt(number)])
        assert not decoder._alignment.trail[slot].any()
        assert heard(run(decoder, num_steps=1)[slot]) == alone(number)


def test_the_english_model_says_nothing_of_positions() -> None:
    decoder = make_decoder(tiny_t3())
    (slot,) = decoder.admit([make_prompt(0)])
    assert run(decoder)[slot].text_positions is None
