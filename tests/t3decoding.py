"""What the tests of the T3 decoder share: prompts, what `generate_tokens` says to them, and their noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch  # noqa: TID253 - the tests compare tensors
from tiny_t3 import text_ids, tiny_t3, tiny_voice

from worker.engine.t3.decoder import Decoder
from worker.engine.t3.prompt import Prompt, Spoken
from worker.models.generation import generate_tokens
from worker.models.sampling import Sampling

MAX_TOKENS = 10
MAX_POSITIONS = 34 + 40 + 2 + 40
VOCABULARY = 8194
#: More steps than a test takes.
NUM_STEPS = 40

GREEDY = Sampling(min_p=1.0)
SAMPLINGS = [
    Sampling(),
    GREEDY,
    Sampling(temperature=1.3, min_p=0.0, top_p=0.8, cfg_weight=0.9),
    Sampling(cfg_weight=0.0),
    Sampling(temperature=1.0, repetition_penalty=2.0),
    Sampling(cfg_weight=0.0, top_p=0.5, min_p=0.0),
]


@cache
def voice(number: int = 1) -> Any:
    return tiny_voice(seed=number)


@cache
def noise_of(seed: int) -> torch.Tensor:
    """Return what `torch.multinomial` draws at each step, given a generator with this seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.empty(VOCABULARY).exponential_(generator=generator) for _ in range(NUM_STEPS + 1)])


def stock_noise(seeds: torch.Tensor, steps: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """Stand in for `exponential_noise`: the noise that `generate_tokens` gets; idle lanes have seed 0."""
    return torch.stack([noise_of(seed)[step] for seed, step in zip(seeds.tolist(), steps.tolist(), strict=True)])


def make_prompt(number: int, sampling: Sampling | None = None, **changes: Any) -> Prompt:
    """Return the prompt of a number: another text, length, seed, and voice for each."""
    values = {
        "text_tokens": text_ids(4 + 5 * number % 23, first=20 + number),
        "voice": voice(1 + number % 2),
        "exaggeration": 0.5 + 0.25 * (number % 3),
        "sampling": sampling or SAMPLINGS[number % len(SAMPLINGS)],
        "seed": number + 1,
        "max_tokens": MAX_TOKENS,
        **changes,
    }
    return Prompt(**values)


def expected(t3: Any, prompt: Prompt) -> tuple[list[int], bool]:
    """Return what `generate_tokens` says to a prompt, alone."""
    from dataclasses import replace

    own_voice = replace(prompt.voice, emotion_adv=torch.full((1, 1, 1), prompt.exaggeration))
    generator = torch.Generator().manual_seed(prompt.seed)
    tokens, has_ended = generate_tokens(
        t3, own_voice, prompt.text_tokens, prompt.sampling, max_tokens=prompt.max_tokens, generator=generator
    )
    return tokens.tolist(), has_ended


def run(decoder: Decoder, *, num_steps: int = 3) -> dict[int, Spoken]:
    """Step until nothing is live, and return what was spoken by slot."""
    found: dict[int, Spoken] = {}
    while decoder.num_live:
        decoder.step(num_steps)
        found.update({spoken.slot: spoken for spoken in decoder.poll()})
    return found


def speak(decoder: Decoder, prompts: Sequence[Prompt]) -> list[tuple[list[int], bool]]:
    """Speak prompts at once; returns tokens and whether the speech has ended, of each."""
    slots = decoder.admit(prompts)
    found = run(decoder)
    assert all(found[slot].is_finite for slot in slots)
    return [(found[slot].tokens.tolist(), found[slot].has_ended) for slot in slots]


def make_decoder(t3: Any = None, **changes: Any) -> Decoder:
    options = {"num_slots": 4, "max_positions": MAX_POSITIONS, "draw_noise": stock_noise, **changes}
    return Decoder(t3 or tiny_t3(), precision="fp32", device="cpu", **options)
