"""A rigged random T3 speaks as long as its text is: in the plain loop and in the decoder, guided or not, int8 too."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from lengthrig import NUM_SOUNDS, REAL_TOKENS_PER_CHARACTER, rig_length
from t3decoding import run
from tiny_t3 import text_ids, tiny_t3, tiny_voice

from worker.engine.t3.decoder import Decoder
from worker.engine.t3.prompt import Prompt
from worker.models.generation import generate_tokens
from worker.models.quantization import quantize_t3
from worker.models.sampling import Sampling

#: torch, transformers and bitsandbytes warn of calls in the packages.
pytestmark = pytest.mark.filterwarnings("default")

#: How far a length may be from the wanted one.
TOLERANCE = 0.15
MAX_TOKENS = 700


@cache
def rigged(precision: str = "fp32") -> Any:
    t3 = tiny_t3(seed=4)
    rig_length(t3, REAL_TOKENS_PER_CHARACTER)
    if precision == "int8":
        return quantize_t3(t3, "cpu")
    return t3.bfloat16() if precision == "bf16" else t3


def wanted(num_characters: int) -> Any:
    return pytest.approx(REAL_TOKENS_PER_CHARACTER * num_characters, rel=TOLERANCE)


#: From a short sentence to the longest segment there is.
@pytest.mark.parametrize(("num_characters", "cfg_weight"), [(20, 0.5), (75, 0.0), (280, 0.5)])
def test_the_plain_loop_ends_when_the_text_is_over(num_characters: int, cfg_weight: float) -> None:
    tokens, has_ended = generate_tokens(
        rigged(),
        tiny_voice(),
        text_ids(num_characters),
        Sampling(cfg_weight=cfg_weight),
        max_tokens=MAX_TOKENS,
        generator=torch.Generator().manual_seed(num_characters),
    )
    assert has_ended
    assert len(tokens) == wanted(num_characters)
    assert int(tokens.max()) < NUM_SOUNDS


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_decoder_ends_each_slot_when_its_text_is_over(precision: str) -> None:
    decoder = Decoder(rigged(precision), precision=precision, num_slots=4, max_positions=256, device="cpu")
    # Both row layouts in one batch, and short texts beside a long one.
    lengths = [(num_characters, cfg_weight) for num_characters in (20, 75) for cfg_weight in (0.5, 0.0)]
    slots = decoder.admit(
        [
            Prompt(text_ids(length), tiny_voice(), 0.5, Sampling(cfg_weight=cfg_weight), 1, 140)
            for length, cfg_weight in lengths
        ]
    )
    found = run(decoder)
    for slot, (num_characters, _) in zip(slots, lengths, strict=True):
        assert found[slot].has_ended
        assert len(found[slot].tokens) == wanted(num_characters)
