"""How far what is read from a cache of eight bits is from full precision: `python -m bench.kernels.rounding [--out F]`.

On a CPU, in float32 but for the keys and values, so that nothing else is rounded: of attention alone, over keys with
and without channels that stand out, and of the logits of T3 of full width and random weights, at the first step and at
the fiftieth, given the same tokens. `tests/gpu/test_gpu_decoder.py` prints the logits of full size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - what is measured is torch

from bench import record
from bench.random_t3 import random_t3, random_text, random_voice
from worker.engine.kernels import KVLayer, reference
from worker.engine.kernels.kvlayer import round_to_int8
from worker.engine.kernels.packedlinear import INT8_MAX
from worker.engine.t3.decoder import Decoder
from worker.engine.t3.prompt import Prompt
from worker.models.sampling import Sampling

Rounding = Callable[[torch.Tensor], torch.Tensor]

NUM_LAYERS, NUM_STEPS, NUM_TEXT_TOKENS = 6, 50, 100
#: What the random weights of queries and keys are multiplied by: at 1 attention hardly prefers any position.
SHARPNESS = (1.0, 4.0)
#: Channels of a key that stand out, and by how much: keys of trained models have some (Liu et al. 2024, KIVI, arXiv
#: 2402.02750, section 3.2).
NUM_LOUD, LOUDNESS = 4, 10.0


def to_half(x: torch.Tensor) -> torch.Tensor:
    return x.half().to(x.dtype)


def to_int8(x: torch.Tensor) -> torch.Tensor:
    """One scale for each head of each position: x is [..., H, D]."""
    rounded, absmax = round_to_int8(x)
    return rounded * (absmax.float() / INT8_MAX).unsqueeze(-1)


def to_int8_of_all_heads(x: torch.Tensor) -> torch.Tensor:
    """One scale for all heads of a position."""
    return to_int8(x.flatten(-2)).view_as(x)


def to_fp8(x: torch.Tensor) -> torch.Tensor:
    """Four bits of exponent and three of mantissa, scaled as `to_int8` is."""
    scale = 448 / x.abs().amax(dim=-1, keepdim=True).half().float().clamp(min=1e-6)
    return (x * scale).to(torch.float8_e4m3fn).float() / scale


ROUNDINGS: dict[str, Rounding] = {
    "half": to_half,
    "int8, a scale for each head": to_int8,
    "int8, a scale for all heads": to_int8_of_all_heads,
    "fp8 e4m3, a scale for each head": to_fp8,
}


def attention_errors(loudness: float) -> dict[str, float]:
    """Return the relative error of attention over 400 positions, whose keys have some louder channels."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(8, 400, 16, 64, generator=generator) for _ in range(3))
    k[..., :NUM_LOUD] *= loudness
    q[..., :NUM_LOUD] /= loudness

    def attend(rounding: Rounding) -> torch.Tensor:
        layer = KVLayer(rounding(k).transpose(1, 2).contiguous(), rounding(v).transpose(1, 2).contiguous())
        return reference.decode_attention(2 * q[:, 0], layer, torch.arange(8), torch.full((8,), 400))

    exact = attend(lambda x: x)
    return {name: error(attend(rounding), exact) for name, rounding in ROUNDINGS.items()}


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the deviation of the difference over that of the exact values."""
    return round(((found - exact).std() / exact.std()).item(), 6)


@contextmanager
def rounded_cache(rounding: Rounding) -> Iterator[None]:
    """Let keys and values be rounded when they are written, into a cache of floats."""
    store = reference.rope_and_store

    def store_rounded(qkv: Any, cos: Any, sin: Any, rows: Any, positions: Any, layer: KVLayer) -> torch.Tensor:
        q = store(qkv, cos, sin, rows, positions, layer)
        for part in (layer.keys, layer.values):
            part[rows, :, positions] = rounding(part[rows, :, positions])
        return q

    reference.rope_and_store = store_rounded
    try:
        yield
    finally:
        reference.rope_and_store = store


def logits_of(t3: Any, num_steps: int) -> torch.Tensor:
    """Return the logits [steps + 1, 2, V] of T3 that is fed the same tokens whatever it says."""
    decoder = Decoder(t3, precision="fp32", num_slots=1, max_positions=300, device="cpu")
    voice = random_voice(device="cpu")
    decoder.admit([Prompt(random_text(NUM_TEXT_TOKENS), voice, 0.5, Sampling(), 0, num_steps + 2)])
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 6561, (num_steps + 1,), generator=generator)
    found = []
    with torch.inference_mode():
        rows, owners, _ = decoder._lanes.of(decoder._lanes.assign(list(decoder._live.values())))
        for token in tokens:
            found.append(decoder._graphs._work._logits(rows, owners).float())
            decoder._state.last_token[owners] = token
            decoder._state.num_tokens[owners] += 1
            decoder._state.length[owners] += 1
    return torch.stack(found)


def logit_errors(sharpness: float) -> dict[str, dict[str, float]]:
    """Return the error of the first and of the fiftieth logits."""
    t3 = random_t3(device="cpu", num_layers=NUM_LAYERS)
    for layer in t3.tfmr.layers:
        for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            linear.weight.data *= sharpness
    exact = logits_of(t3, NUM_STEPS)
    found = {}
    for name, rounding in ROUNDINGS.items():
        with rounded_cache(rounding):
            logits = logits_of(t3, NUM_STEPS)
        found[name] = {"first": error(logits[0], exact[0]), "fiftieth": error(logits[-1], exact[-1])}
    return found


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Measure what rounded keys and values cost.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name, loudness in (("even channels", 1.0), (f"{NUM_LOUD} channels {LOUDNESS:g} times louder", LOUDNESS)):
        results[f"attention, {name}"] = attention_errors(loudness)
    for sharpness in SHARPNESS:
        results[f"logits, queries and keys times {sharpness:g}"] = logit_errors(sharpness)
    print(json.dumps(results, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    else:
        print(record.write_result("kv_rounding", results))


if __name__ == "__main__":
    main()
