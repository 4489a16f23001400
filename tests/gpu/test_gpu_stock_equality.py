"""In float32 on a GPU, our loop gives the tokens of the stock loop: greedy and sampled, both models, 1,000 steps."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

NUM_STEPS = 1000
TEXT = "It is a truth universally acknowledged that a single man must be in want of a wife."


@pytest.mark.parametrize(
    ("model", "min_p", "cfg_weight"),
    [
        ("english", 0.05, 0.5),
        ("english", 1.0, 0.5),
        ("multilingual", 0.05, 0.5),
        ("multilingual", 1.0, 0.5),
        ("multilingual", 0.05, 0.0),
    ],
)
def test_tokens_equal_those_of_the_stock_loop(
    model: str, min_p: float, cfg_weight: float, full_checkpoint: Any, figures: dict[str, Any]
) -> None:
    import torch
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    from worker.models.checkpoint import ENGLISH, MULTILINGUAL
    from worker.models.checkpointparts import load_t3
    from worker.models.generation import generate_tokens
    from worker.models.sampling import Sampling

    directory = full_checkpoint(model)
    t3 = load_t3(directory, ENGLISH if model == "english" else MULTILINGUAL, "cuda")
    voice = T3Cond(**torch.load(directory / "conds.pt", weights_only=True)["t3"]).to(device="cuda")
    penalty = 1.2 if model == "english" else 2.0
    sampling = Sampling(cfg_weight=cfg_weight, repetition_penalty=penalty, min_p=min_p)
    num_steps = num_calls = 0
    ours_s = stock_s = 0.0
    # An end that comes before the thousandth step starts another text.
    while num_steps < NUM_STEPS:
        text = torch.tensor([255, *(20 + (ord(letter) + num_calls) % 200 for letter in TEXT), 0])
        torch.manual_seed(num_calls)
        torch.cuda.synchronize()
        started_s = time.perf_counter()
        ours, has_ended = generate_tokens(t3, voice, text, sampling, max_tokens=NUM_STEPS - num_steps)
        torch.cuda.synchronize()
        ours_s += time.perf_counter() - started_s
        torch.manual_seed(num_calls)
        started_s = time.perf_counter()
        stock = t3.inference(
            t3_cond=T3Cond(voice.speaker_emb, None, voice.cond_prompt_speech_tokens, None, voice.emotion_adv),
            text_tokens=torch.stack([text, text]),
            max_new_tokens=NUM_STEPS - num_steps,
            temperature=sampling.temperature,
            cfg_weight=cfg_weight,
            repetition_penalty=penalty,
            min_p=min_p,
            top_p=1.0,
        )[0].cpu()
        torch.cuda.synchronize()
        stock_s += time.perf_counter() - started_s
        # What the stock loop leaves behind would slow down, or change, our next call.
        t3._modules.pop("patched_model", None)
        t3.tfmr.config._attn_implementation = "sdpa"
        for layer in t3.tfmr.layers:
            layer.self_attn._forward_hooks.clear()
        t3.tfmr._output_capturing_hooks_installed = False
        for layer in t3.tfmr.layers:
            layer._forward_hooks.clear()
        t3.tfmr.config.output_attentions = False
        num_calls += 1
        num_steps += len(stock)
        assert ours.tolist() == [token for token in stock.tolist() if token != t3.hp.stop_speech_token]
        assert has_ended == (stock[-1] == t3.hp.stop_speech_token).item()
    figures[f"{model}, min_p {min_p}, cfg_weight {cfg_weight}"] = {
        "steps": num_steps,
        "calls": num_calls,
        "equal": True,
        "ours_tokens_per_s": round(num_steps / ours_s, 1),
        "stock_tokens_per_s": round(num_steps / stock_s, 1),
    }
