"""The same work gives the same numbers every time, also while another stream keeps the GPU busy.

A kernel whose programs race gives other numbers once in thousands of launches. No comparison with a reference finds
that; a comparison of thousands of launches with the first one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch  # noqa: TID253 - the tests compare tensors

pytestmark = pytest.mark.gpu

NUM_LAUNCHES = 4_000
NUM_PROMPTS = 3_000
HEADS, HEAD_SIZE = 16, 64
#: Gated or not, outputs and inputs, rows.
PRODUCTS = [
    (is_gated, shape, num_rows)
    for is_gated, shape in (
        (True, (4096, 1024)),
        (False, (3072, 1024)),
        (False, (1024, 1024)),
        (False, (8192, 1024)),
        (False, (1024, 4096)),
    )
    for num_rows in (16, 64, 256)
]


@pytest.fixture
def busy() -> Iterator[Callable[[], None]]:
    """Return what has another stream multiply large matrices for some milliseconds."""
    stream = torch.cuda.Stream()
    matrix = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)

    def keep_busy() -> None:
        with torch.cuda.stream(stream):
            for _ in range(8):
                matrix @ matrix

    yield keep_busy
    torch.cuda.synchronize()


def num_deviations(launch: Callable[[], torch.Tensor], busy: Callable[[], None]) -> int:
    """Return how many of the launches gave other bits than the first one."""
    first = launch().clone()
    deviations = torch.zeros((), device="cuda", dtype=torch.int64)
    for number in range(NUM_LAUNCHES):
        if number % 200 == 0:
            busy()
        deviations += (launch().view(torch.int16) != first.view(torch.int16)).any()
    return int(deviations)


@pytest.mark.parametrize(("is_gated", "shape", "num_rows"), PRODUCTS)
def test_a_product_is_the_same_every_time(
    is_gated: bool, shape: tuple[int, int], num_rows: int, busy: Any, figures: dict[str, Any]
) -> None:
    from worker.engine.kernels.fused import matmul

    torch.manual_seed(0)
    num_outputs = shape[0] * (2 if is_gated else 1)
    weight = torch.randint(-127, 128, (num_outputs, shape[1]), device="cuda", dtype=torch.int8)
    absmax = torch.rand(num_outputs, device="cuda") + 0.5
    x = (torch.randn(num_rows, shape[1], device="cuda") / shape[1] ** 0.5).half()
    multiply = matmul.linear_silu_mul if is_gated else matmul.linear
    found = num_deviations(lambda: multiply(x, weight, absmax), busy)
    figures[f"{'gated ' * is_gated}{shape[0]}x{shape[1]}, {num_rows} rows"] = found
    assert found == 0


@pytest.mark.parametrize("num_rows", [16, 256])
def test_attention_to_eight_bits_is_the_same_every_time(num_rows: int, busy: Any, figures: dict[str, Any]) -> None:
    from bench.kernels.search import random_layers
    from worker.engine.kernels.fused import attention

    torch.manual_seed(0)
    (layer,) = random_layers(1, num_rows, 1_024, is_rounded=True)
    q = torch.randn(num_rows, HEADS, HEAD_SIZE, device="cuda", dtype=torch.float16)
    rows = torch.randperm(num_rows, device="cuda")
    lengths = torch.randint(40, 900, (num_rows,), device="cuda")
    found = num_deviations(lambda: attention.decode_attention(q, layer, rows, lengths), busy)
    figures[f"attention, {num_rows} rows"] = found
    assert found == 0


def short_prompts() -> list[Any]:
    """Return prompts of 16 to 48 text tokens, with 20 to 80 speech tokens each."""
    from bench.random_t3 import random_text, random_voice
    from worker.engine.t3.prompt import Prompt
    from worker.models.sampling import Sampling

    voices = [random_voice(seed=seed) for seed in (1, 2)]
    prompts = []
    for number in range(NUM_PROMPTS):
        num_tokens = 20 + 17 * number % 61
        text = random_text(16 + 7 * number % 33, seed=number % 200)
        limits = {"max_tokens": num_tokens + 1, "num_forced_tokens": num_tokens}
        prompts.append(Prompt(text, voices[number % 2], 0.5, Sampling(), seed=number, **limits))
    return prompts


def speak(decoder: Any, prompts: list[Any], busy: Callable[[], None]) -> list[list[int] | None]:
    """Speak prompts as the engine does, some at a time; returns the tokens of each, None if they were not finite."""
    said: dict[int, list[int] | None] = {}
    slot_of: dict[int, int] = {}
    begun = 0
    while len(said) < len(prompts):
        batch = prompts[begun : begun + 8]
        while batch and not decoder.can_admit(batch):
            batch.pop()
        if batch:
            slot_of.update(zip(decoder.admit(batch), range(begun, begun + len(batch)), strict=True))
            begun += len(batch)
        if begun % 400 < 8:
            busy()
        decoder.step(4)
        for spoken in decoder.poll(is_blocking=True):
            said[slot_of[spoken.slot]] = spoken.tokens.tolist() if spoken.is_finite else None
    return [said[number] for number in range(len(prompts))]


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_thousands_of_short_texts_are_finite_and_said_the_same_twice(
    precision: str, busy: Any, figures: dict[str, Any]
) -> None:
    """Slots come free and are taken at every turn, prompts of all lengths are read between steps."""
    from bench.random_t3 import random_t3
    from worker.engine.t3.decoder import Decoder

    t3 = random_t3(precision=precision)
    decoder = Decoder(t3, precision=precision, num_slots=128, max_positions=256, device="cuda")
    decoder.warm_up()
    prompts = short_prompts()
    first, second = speak(decoder, prompts, busy), speak(decoder, prompts, busy)
    num_not_finite = first.count(None) + second.count(None)
    figures[f"{precision}, {NUM_PROMPTS} texts twice"] = {
        "not finite": num_not_finite,
        "said otherwise the second time": sum(one != other for one, other in zip(first, second, strict=True)),
    }
    assert num_not_finite == 0
