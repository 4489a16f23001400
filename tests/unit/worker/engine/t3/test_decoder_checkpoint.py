"""From a checkpoint in the real file format, of both models, many texts at once say what each says alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors
from small_checkpoint import BOTH, cached_checkpoint
from t3decoding import expected, speak, stock_noise
from tiny_t3 import text_ids

from worker.engine.t3.decoder import Decoder
from worker.engine.t3.prompt import Prompt
from worker.models.checkpoint import ENGLISH, MULTILINGUAL, Parts
from worker.models.checkpointparts import load_t3
from worker.models.sampling import Sampling

#: torch and transformers warn of calls in the package.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]


def voice_of(files: Parts) -> Any:
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    return T3Cond(**torch.load(cached_checkpoint(BOTH) / files.conditionals, weights_only=True)["t3"])


@pytest.mark.parametrize("files", [ENGLISH, MULTILINGUAL], ids=["english", "multilingual"])
def test_the_model_of_a_checkpoint_says_the_same_in_a_batch(files: Parts) -> None:
    t3 = load_t3(cached_checkpoint(BOTH), files, "cpu")
    voice = voice_of(files)
    prompts = [
        Prompt(text_ids(9), voice, 0.5, Sampling(), seed=1, max_tokens=24),
        Prompt(text_ids(4), voice, 0.5, Sampling(cfg_weight=0.0), seed=2, max_tokens=24),
        Prompt(text_ids(15), voice, 0.8, Sampling(min_p=1.0, repetition_penalty=2.0), seed=3, max_tokens=6),
    ]
    alone = [expected(t3, prompt) for prompt in prompts]
    # The checkpoints end their speech after some twelve tokens; the last prompt may not go so far.
    assert [has_ended for _, has_ended in alone] == [True, True, False]
    decoder = Decoder(t3, precision="fp32", num_slots=3, max_positions=96, device="cpu", draw_noise=stock_noise)
    assert speak(decoder, prompts) == alone
    in_other_slots = [replace(prompt) for prompt in reversed(prompts)]
    assert speak(decoder, in_other_slots) == list(reversed(alone))
