"""The decoder on a GPU, at full size with random weights: its graphs, kernels and streams change no token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

NUM_TOKENS = 40
MAX_POSITIONS = 34 + 130 + NUM_TOKENS + 2
PENALTY = 1.2
#: Steps whose logits are compared when all are fed the same tokens.
NUM_FED = 50


@cache
def t3_of(precision: str, model: str = "english") -> Any:
    """Return a T3, made once: a decoder joins its layers and leaves their values as they are."""
    from bench.random_t3 import random_t3

    return random_t3(model, precision=precision)


def make_decoder(t3: Any, precision: str, *, num_slots: int = 8) -> Any:
    from worker.engine.t3.decoder import Decoder

    decoder = Decoder(t3, precision=precision, num_slots=num_slots, max_positions=MAX_POSITIONS, device="cuda")
    decoder.warm_up()
    return decoder


@pytest.fixture(scope="module")
def voices() -> Any:
    from bench.random_t3 import random_voice

    return [random_voice(seed=seed) for seed in (1, 2)]


@pytest.fixture
def prompts(voices: Any) -> Callable[..., list[Any]]:
    from bench.random_t3 import random_text
    from worker.engine.t3.prompt import Prompt
    from worker.models.sampling import Sampling

    samplings = [
        Sampling(),
        Sampling(min_p=1.0),
        Sampling(cfg_weight=0.0),
        Sampling(temperature=1.2, min_p=0.0, top_p=0.9),
    ]

    def make(num_prompts: int, *, is_plain: bool = False) -> list[Any]:
        return [
            Prompt(
                text_tokens=random_text(20 + 13 * number % 100, seed=number),
                voice=voices[number % 2],
                exaggeration=0.5 + 0.25 * (number % 3),
                sampling=samplings[number % (2 if is_plain else 4)],
                seed=2**31 + 77 * number,
                max_tokens=NUM_TOKENS,
            )
            for number in range(num_prompts)
        ]

    return make


def speak(decoder: Any, prompts: list[Any], *, num_steps: int = 7) -> list[list[int]]:
    """Speak prompts, as many at once as there is room for; returns the tokens of each."""
    waiting, slot_of, found = list(range(len(prompts))), {}, {}
    while waiting or decoder.num_live:
        fitting = []
        while waiting and decoder.can_admit([prompts[number] for number in [*fitting, waiting[0]]]):
            fitting.append(waiting.pop(0))
        slots = decoder.admit([prompts[number] for number in fitting])
        slot_of.update(zip(slots, fitting, strict=True))
        decoder.step(num_steps)
        for spoken in decoder.poll():
            assert spoken.is_finite
            found[slot_of[spoken.slot]] = spoken.tokens.tolist()
    return [found[number] for number in range(len(prompts))]


@contextmanager
def noise_of(seed: int) -> Iterator[None]:
    """Let `generate_tokens` draw with the noise of the decoder."""
    import torch

    from worker.engine.t3.noise import exponential_noise

    multinomial, steps = torch.multinomial, iter(range(10_000))

    def draw(probabilities: Any, **_options: Any) -> Any:
        seeds = torch.tensor([seed], device=probabilities.device)
        step = torch.tensor([next(steps)], device=probabilities.device)
        return (probabilities / exponential_noise(seeds, step, probabilities.shape[1])).argmax(-1, keepdim=True)

    torch.multinomial = draw
    try:
        yield
    finally:
        torch.multinomial = multinomial


def expected(t3: Any, prompt: Any) -> list[int]:
    from dataclasses import replace

    import torch

    from worker.models.generation import generate_tokens

    voice = replace(prompt.voice, emotion_adv=torch.full((1, 1, 1), prompt.exaggeration, device="cuda"))
    with noise_of(prompt.seed):
        tokens, _ = generate_tokens(t3, voice, prompt.text_tokens, prompt.sampling, max_tokens=prompt.max_tokens)
    return tokens.tolist()


@pytest.mark.parametrize("model", ["english", "multilingual"])
def test_in_float32_the_tokens_are_those_of_generate_tokens(
    model: str, prompts: Callable[..., list[Any]], figures: dict[str, Any]
) -> None:
    t3 = t3_of("fp32", model)
    cases = prompts(5)
    alone = [expected(t3, prompt) for prompt in cases]
    together = speak(make_decoder(t3, "fp32", num_slots=4), cases)
    equal = sum(ours == theirs for ours, theirs in zip(together, alone, strict=True))
    figures[f"{model}, fp32, prompts equal to generate_tokens"] = f"{equal} of {len(cases)}"
    assert together == alone


def test_places_in_the_text_are_those_of_the_stock_analysis(
    prompts: Callable[..., list[Any]], figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By graph and without; random heads look nowhere in particular, so a tie may fall otherwise now and then."""
    from worker.models import alignment, generation

    t3, cases, theirs = t3_of("fp32", "multilingual"), prompts(4), []

    @contextmanager
    def noting(t3: Any, **places: int) -> Iterator[Any]:
        with alignment.watch_alignment(t3, **places) as analyzer:
            step, noted = analyzer.step, []

            def step_and_note(logits: Any, **tokens: Any) -> Any:
                logits = step(logits, **tokens)
                noted.append(int(analyzer.text_position))
                return logits

            analyzer.step = step_and_note
            theirs.append(noted)
            yield analyzer

    monkeypatch.setattr(generation, "watch_alignment", noting)
    for prompt in cases:
        expected(t3, prompt)
    decoder = make_decoder(t3, "fp32", num_slots=4)
    by_graph = places_of(decoder, cases)
    decoder._graphs.forget()
    assert places_of(decoder, cases) == by_graph
    pairs = [pair for ours, noted in zip(by_graph, theirs, strict=True) for pair in zip(ours, noted, strict=False)]
    share = sum(ours == other for ours, other in pairs) / len(pairs)
    figures["multilingual, fp32, places in the text equal to those of the stock analysis"] = share
    assert share > 0.95


def places_of(decoder: Any, prompts: list[Any]) -> list[list[int]]:
    """Speak prompts and return of each token the text token that was spoken."""
    slots, found = decoder.admit(prompts), {}
    while decoder.num_live:
        decoder.step(7)
        found.update({spoken.slot: spoken for spoken in decoder.poll()})
    assert all(len(found[slot].text_positions) == len(found[slot].tokens) for slot in slots)
    return [found[slot].text_positions.tolist() for slot in slots]


@pytest.mark.parametrize("precision", ["fp32", "int8", "bf16"])
def test_a_graph_does_what_the_step_does(precision: str, prompts: Callable[..., list[Any]]) -> None:
    decoder = make_decoder(t3_of(precision), precision)
    cases = prompts(6)
    by_graph = speak(decoder, cases)
    decoder._graphs.forget()
    assert speak(decoder, cases) == by_graph


@pytest.mark.parametrize("precision", ["fp32", "int8", "bf16"])
def test_a_prefill_by_graph_fills_the_cache_as_one_without(
    precision: str, prompts: Callable[..., list[Any]], figures: dict[str, Any]
) -> None:
    """A graph is padded to its size, so in half precision its products may round otherwise."""
    import torch

    decoder = make_decoder(t3_of(precision), precision)
    cases = prompts(7)
    found = []
    for has_graphs in (True, False):
        if not has_graphs:
            decoder._prefill.forget_graphs()
        slots = decoder.admit(cases)
        torch.cuda.synchronize()
        last = decoder._cache.layer(29)
        rows = [row for slot in slots for row in decoder._live[slot].rows]
        lengths = [decoder._state.length[row].item() for row in rows]
        parts = [
            last.read(torch.tensor([row], device="cuda"), length) for row, length in zip(rows, lengths, strict=True)
        ]
        found.append(torch.cat([torch.cat(part, dim=2)[0].flatten() for part in parts]).float())
        decoder.release(slots)
    error = ((found[0] - found[1]).norm() / found[1].norm()).item()
    figures[f"{precision}, prefill by graph against without, relative error of the last layer"] = error
    assert error < {"fp32": 1e-4, "bf16": 0.05, "int8": 0.02}[precision]


def test_slots_and_order_of_admission_change_no_token_in_int8(
    prompts: Callable[..., list[Any]], figures: dict[str, Any]
) -> None:
    """Batches of one size: another size may take another kernel, which rounds otherwise in half precision."""
    decoder = make_decoder(t3_of("int8"), "int8")
    cases = prompts(8, is_plain=True)
    order = [5, 2, 7, 0, 3, 6, 1, 4]
    straight = speak(decoder, cases)
    shuffled = speak(decoder, [cases[number] for number in order])
    figures["int8, tokens equal in another order"] = shuffled == [straight[number] for number in order]
    assert shuffled == [straight[number] for number in order]


@pytest.mark.parametrize("model", ["english", "multilingual"])
def test_nothing_but_a_late_poll_waits_for_the_gpu(model: str, prompts: Callable[..., list[Any]]) -> None:
    import torch

    decoder = make_decoder(t3_of("bf16", model), "bf16")
    cases = prompts(8)
    speak(decoder, cases[:4])
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        decoder.admit(cases[:4])
        decoder.step(5)
        decoder.poll()
        decoder.release([0])
        decoder.step(5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    # Others may have ended: the multilingual model ends a speech that repeats itself.
    assert 0 not in {spoken.slot for spoken in decoder.poll(is_blocking=True)}


def test_the_fused_kernel_draws_what_the_plain_operations_draw() -> None:
    import torch

    from worker.engine.t3.noise import exponential_noise
    from worker.engine.t3.sampler import Sampler
    from worker.engine.t3.slotstate import SlotState

    num_slots, vocabulary = 64, 8194
    torch.manual_seed(0)
    states = []
    logits = 3 * torch.randn(40, 2 * num_slots, vocabulary, device="cuda")
    verdicts = torch.randint(0, 40, (40, num_slots), device="cuda").clamp(max=3) % 3
    for draw_noise in (None, exponential_noise):
        state = SlotState(
            num_rows=num_slots,
            num_positions=64,
            num_speech_tokens=vocabulary,
            start_token=6561,
            device=torch.device("cuda"),
        )
        lanes = torch.arange(num_slots, device="cuda")
        state.is_done[:num_slots], state.is_finite[:num_slots], state.max_tokens[:num_slots] = 0, 1, 30
        state.seed[:num_slots] = lanes * 1_000_003 % 2**32
        state.min_p.fill_(0.02)
        state.cfg_weight.fill_(0.5)
        state.repetition_penalty.fill_(PENALTY)
        state.temperature.fill_(0.8)
        state.num_forced[:4] = torch.tensor([0, 3, 9, 29], device="cuda")
        sampler = Sampler(state, stop_token=6562, draw_noise=draw_noise)
        for step in range(40):
            values = logits[step].clone()
            if step == 7:
                values[11, 5] = float("nan")
            sampler(values, lanes, lanes + num_slots, verdicts[step], has_top_p=False)
        states.append(state)
    fused, plain = states
    assert torch.equal(fused.watched[:, :num_slots], plain.watched[:, :num_slots])
    assert fused.is_finite[11] == 0
    assert torch.equal(fused.output, plain.output)
    assert torch.equal(fused.seen[:num_slots], plain.seen[:num_slots])
    assert torch.equal(fused.length, plain.length)


def test_noise_is_the_same_on_both_devices() -> None:
    import torch

    from worker.engine.t3.noise import exponential_noise

    seeds, steps = torch.tensor([0, 1, 2**32 - 1]), torch.tensor([0, 7, 999])
    on_cpu = exponential_noise(seeds, steps, 8194)
    on_gpu = exponential_noise(seeds.cuda(), steps.cuda(), 8194).cpu()
    torch.testing.assert_close(on_gpu, on_cpu, rtol=2e-6, atol=1e-7)


def test_int8_logits_are_nearer_to_full_precision_than_those_of_bitsandbytes(
    prompts: Callable[..., list[Any]], figures: dict[str, Any]
) -> None:
    """At the first step, and ours at a later one too, given the same tokens: beside a cache of sixteen bits."""
    import torch

    (prompt,) = prompts(1, is_plain=True)
    full, theirs = logits_of_modules(t3_of("fp32"), prompt), logits_of_modules(t3_of("int8"), prompt)
    full_later = logits_of_decoder("fp32", prompt)
    ours, of_half = logits_of_decoder("int8", prompt), logits_of_decoder("int8", prompt, has_half_cache=True)

    def error(found: Any, exact: Any) -> float:
        return ((found - exact).std() / exact.std()).item()

    errors = {
        "ours": error(ours[0], full),
        "ours, cache of sixteen bits": error(of_half[0], full),
        "bitsandbytes": error(theirs, full),
        "ours against bitsandbytes": error(ours[0], theirs),
        "ours against a cache of sixteen bits": error(ours[0], of_half[0]),
        f"ours, step {NUM_FED}": error(ours[-1], full_later[-1]),
        f"ours, cache of sixteen bits, step {NUM_FED}": error(of_half[-1], full_later[-1]),
        f"ours against a cache of sixteen bits, step {NUM_FED}": error(ours[-1], of_half[-1]),
    }
    figures["int8, error of the logits over their deviation"] = errors
    assert torch.isfinite(ours).all()
    assert error(full_later[0], full) < 1e-3
    assert errors["ours"] <= errors["bitsandbytes"]
    assert errors["ours"] <= 1.1 * errors["ours, cache of sixteen bits"]
    assert errors[f"ours, step {NUM_FED}"] <= 1.1 * errors[f"ours, cache of sixteen bits, step {NUM_FED}"]


def logits_of_modules(t3: Any, prompt: Any) -> Any:
    """Return the first logits [2, V] float32 by the modules of T3 alone."""
    import torch

    from worker.models.generation import attention_kernels, prefix

    with torch.inference_mode():
        embeds, _ = prefix(t3, prompt.voice, prompt.text_tokens, prompt.sampling.cfg_weight)
        with attention_kernels(embeds.dtype):
            hidden = t3.tfmr(inputs_embeds=embeds, use_cache=False).last_hidden_state
        return t3.speech_head(hidden)[:, -1].float()


def logits_of_decoder(precision: str, prompt: Any, *, has_half_cache: bool = False) -> Any:
    """Return the logits [steps + 1, 2, V] float32 of a decoder that is fed the same tokens whatever it draws."""
    from dataclasses import replace

    import torch

    from worker.engine.t3.decoder import Decoder

    decoder = Decoder(t3_of(precision), precision=precision, num_slots=1, max_positions=MAX_POSITIONS, device="cuda")
    if has_half_cache:
        cache = decoder._cache
        cache.values, cache.absmax = torch.zeros_like(cache.values, dtype=torch.float16), None
    tokens = torch.randint(0, 6561, (NUM_FED,), generator=torch.Generator().manual_seed(3)).tolist()
    decoder.admit([replace(prompt, exaggeration=0.5)])
    torch.cuda.synchronize()
    found = []
    with torch.inference_mode():
        rows, owners, _ = decoder._lanes.of(decoder._lanes.assign(list(decoder._live.values())))
        for token in [*tokens, 0]:
            found.append(decoder._graphs._work._logits(rows, owners).float())
            decoder._state.last_token[owners] = token
            decoder._state.num_tokens[owners] += 1
            decoder._state.length[owners] += 1
    return torch.stack(found)
