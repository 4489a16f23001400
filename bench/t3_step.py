"""What a decode step of T3 costs on a GPU: by precision and batch, beside the int8 product of bitsandbytes.

    python -m bench.t3_step [--precisions fp32,bf16,int8] [--batches 1,8,16,64,128] [--out FILE] [--seconds 120]

Full-size random weights: time and memory do not depend on them. Every prompt has guidance, so two rows each; texts of
150 tokens, steps timed at a context of about 400 positions. "x real time" is of T3 alone: 25 tokens are a second.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - what is measured is torch

from bench import record
from bench.random_t3 import random_t3, random_text, random_voice
from worker.engine.kernels import PackedLinear, operations
from worker.engine.t3 import transformer
from worker.engine.t3.decoder import Decoder
from worker.engine.t3.prompt import Prompt
from worker.engine.t3.slotsize import slot_bytes
from worker.models.generation import TOKENS_PER_S, generate_tokens
from worker.models.sampling import Sampling

NUM_TEXT_TOKENS = 150
#: Steps before the timed ones, and these: together with voice and text around 400 positions.
NUM_STEPS_BEFORE, NUM_STEPS_TIMED = 190, 48
MAX_TOKENS = NUM_STEPS_BEFORE + NUM_STEPS_TIMED + 2
MAX_POSITIONS = 34 + NUM_TEXT_TOKENS + 2 + MAX_TOKENS
#: Steps of the model's own loop.
NUM_EAGER_STEPS = 24


def measure(precision: str, batches: list[int], found: dict[str, Any], *, peer: bool = False) -> None:
    """Measure a decoder of one precision; what is known so far is in `found` if it fails."""
    t3, voice = random_t3(precision=precision), random_voice()
    free_before = torch.cuda.mem_get_info()[0]
    started_s = time.perf_counter()
    decoder = Decoder(t3, precision=precision, num_slots=max(batches), max_positions=MAX_POSITIONS, device="cuda")
    decoder.warm_up()
    torch.cuda.synchronize()
    found["warm_up_s"] = round(time.perf_counter() - started_s, 2)
    found["decoder_mib"] = round((free_before - torch.cuda.mem_get_info()[0]) / 2**20)
    slot_mib = slot_bytes(decoder._weights.precision, MAX_POSITIONS) / 2**20
    found["slots_mib"] = round(decoder.num_slots * slot_mib)
    found["num_graphs"] = len(decoder._graphs) + len(decoder._prefill._graphs)
    found["batches"] = {}
    for batch in batches:
        found["batches"][batch] = measure_batch(decoder, voice, batch)
        print(precision, "bitsandbytes' product" if peer else "", batch, found["batches"][batch], flush=True)


def measure_batch(decoder: Decoder, voice: Any, batch: int) -> dict[str, float]:
    """Return what a step over so many prompts takes, and the prefill before."""
    prompts = [
        Prompt(random_text(NUM_TEXT_TOKENS, seed=number), voice, 0.5, Sampling(), number, MAX_TOKENS, MAX_TOKENS - 1)
        for number in range(batch)
    ]
    # The first one of a size compiles kernels.
    decoder.release(decoder.admit(prompts))
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    decoder.admit(prompts)
    prefill_launch_ms = (time.perf_counter() - started_s) * 1e3
    torch.cuda.synchronize()
    prefill_ms = (time.perf_counter() - started_s) * 1e3
    decoder.step(NUM_STEPS_BEFORE)
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    decoder.step(NUM_STEPS_TIMED)
    launched_s = time.perf_counter() - started_s
    torch.cuda.synchronize()
    step_ms = (time.perf_counter() - started_s) / NUM_STEPS_TIMED * 1e3
    assert not decoder.poll(is_blocking=True)
    decoder.release(list(decoder._live))
    return {
        "step_ms": round(step_ms, 3),
        "x_real_time": round(batch / TOKENS_PER_S / step_ms * 1e3, 1),
        "tokens_per_s": round(batch / step_ms * 1e3),
        "launch_ms": round(launched_s / NUM_STEPS_TIMED * 1e3, 3),
        "prefill_ms": round(prefill_ms, 2),
        "prefill_launch_ms": round(prefill_launch_ms, 2),
    }


def timed_ms(work: Callable[[], Any]) -> float:
    """Return how long a piece of work takes until the GPU is idle again."""
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started_s) * 1e3


def measure_generate_tokens(precision: str) -> dict[str, float]:
    """Return what the plain loop over the modules of T3 does, one text at a time."""
    t3, voice = random_t3(precision=precision), random_voice()
    text = random_text(NUM_TEXT_TOKENS)

    def generate() -> int:
        torch.manual_seed(0)
        return len(generate_tokens(t3, voice, text, Sampling(), max_tokens=NUM_EAGER_STEPS)[0])

    num_tokens = generate()
    tokens_per_s = num_tokens / timed_ms(generate) * 1e3
    return {"tokens_per_s": round(tokens_per_s, 1), "x_real_time": round(tokens_per_s / TOKENS_PER_S, 2)}


@contextmanager
def product_of_bitsandbytes() -> Iterator[None]:
    """Let the layers multiply int8 as bitsandbytes does: activations rounded to int8, three kernels a product.

    The head, one product of 121, stays as it is.
    """
    states: dict[int, Any] = {}

    def linear(x: torch.Tensor, packed: PackedLinear) -> torch.Tensor:
        return their_product(x, packed, states)

    def linear_add_rms_norm(
        x: torch.Tensor, packed: PackedLinear, residual: torch.Tensor, weight: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return operations.add_rms_norm(linear(x, packed), residual, weight, eps)

    def linear_silu_mul(x: torch.Tensor, packed: PackedLinear) -> torch.Tensor:
        return operations.silu_mul(linear(x, packed))

    theirs = {function.__name__: function for function in (linear, linear_add_rms_norm, linear_silu_mul)}
    ours = {name: getattr(transformer, name) for name in theirs}
    for name, function in theirs.items():
        setattr(transformer, name, function)
    try:
        yield
    finally:
        for name, function in ours.items():
            setattr(transformer, name, function)


def their_product(x: torch.Tensor, packed: PackedLinear, states: dict[int, Any]) -> torch.Tensor:
    """Multiply by the same weights through bitsandbytes."""
    import bitsandbytes

    key = packed.weight.data_ptr()
    if key not in states:
        state = bitsandbytes.MatmulLtState()
        state.CB, state.SCB, state.has_fp16_weights, state.threshold = packed.weight, packed.absmax, False, 0.0
        states[key] = state
    return bitsandbytes.matmul(x, packed.weight, state=states[key], threshold=0.0)


def measure_product_errors() -> dict[str, Any]:
    """Return how far both int8 products are from the product with the same weights in float64, by layer."""
    t3 = random_t3(precision="int8")
    decoder = Decoder(t3, precision="int8", num_slots=1, max_positions=64, device="cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    worst: dict[str, dict[str, float]] = {}
    states: dict[int, Any] = {}
    for layer in decoder._weights.layers:
        for name in ("qkv", "output", "gate_up", "down"):
            packed = getattr(layer, name)
            x = torch.randn(32, packed.num_inputs, generator=generator, device="cuda").half()
            exact = x.double() @ packed.dequantized().double().T
            ours = error(operations.linear(x, packed), exact)
            theirs = error(their_product(x, packed, states), exact)
            between = error(operations.linear(x, packed), their_product(x, packed, states).double())
            entry = worst.setdefault(name, {"ours": 0.0, "bitsandbytes": 0.0, "between": 0.0})
            for key, value in (("ours", ours), ("bitsandbytes", theirs), ("between", between)):
                entry[key] = max(entry[key], value)
    return worst


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the root mean square error over the root mean square."""
    return float(((found.double() - exact).norm() / exact.norm()).item())


def run(parts: dict[str, Callable[[dict[str, Any]], None]], *, seconds: float, out: Path | None) -> None:
    """Run the parts in order, as long as there is time; one that fails does not lose the others."""
    result: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "weights": "random, full size", "parts": {}}
    started_s = time.monotonic()
    for name, part in parts.items():
        found: dict[str, Any] = {}
        result["parts"][name] = found
        if time.monotonic() - started_s > seconds:
            found["skipped"] = "no time left"
            continue
        try:
            part(found)
            gc.collect()
            torch.cuda.empty_cache()
        except Exception as exc:  # noqa: BLE001 - said in the result, and the others go on
            found["failed"] = f"{type(exc).__name__}: {exc}"
            traceback.print_exc()
        print(name, json.dumps(found), f"at {time.monotonic() - started_s:.0f} s", flush=True)
        if out is not None:
            out.write_text(json.dumps(result, indent=1) + "\n")
    if out is None:
        print(record.write_result("t3_step", result))


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Measure decode steps of T3 on a GPU.")
    parser.add_argument("--precisions", default="int8,bf16,fp32")
    parser.add_argument("--batches", default="1,8,16,64,128")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=120.0, help="start no part after this time")
    arguments = parser.parse_args()
    batches = [int(batch) for batch in arguments.batches.split(",")]

    def peer(found: dict[str, Any]) -> None:
        with product_of_bitsandbytes():
            measure("int8", batches, found, peer=True)

    parts: dict[str, Callable[[dict[str, Any]], None]] = {
        precision: lambda found, precision=precision: measure(precision, batches, found)
        for precision in arguments.precisions.split(",")
    }
    if "int8" in parts:
        parts["int8, product of bitsandbytes in our step"] = peer
        parts["int8, error of the products"] = lambda found: found.update(measure_product_errors())
        parts["int8, generate_tokens"] = lambda found: found.update(measure_generate_tokens("int8"))
    if "fp32" in parts:
        parts["fp32, generate_tokens"] = lambda found: found.update(measure_generate_tokens("fp32"))
    run(parts, seconds=arguments.seconds, out=arguments.out)


if __name__ == "__main__":
    main()
