"""A T3 of full size with random weights, made on the GPU in a second: for figures that do not depend on the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - what this makes is made of tensors

NUM_LAYERS, HEAD_SIZE, MLP_SIZE = 30, 64, 4096
#: As the real ones are initialised; norms are 1.
DEVIATION = 0.02


def random_t3(
    model: str = "english",
    *,
    precision: str = "fp32",
    device: str = "cuda",
    num_layers: int = NUM_LAYERS,
    seed: int = 0,
) -> Any:
    """Return a T3 of the real classes with seeded random weights, the same ones in every precision.

    Args:
        model: `english` or `multilingual`.
        precision: `fp32`, `bf16` or `int8`; the last one needs bitsandbytes and CUDA.
        device: where it goes.
        num_layers: fewer make a smaller one.
        seed: of the weights.
    """
    from worker.models.quantization import cast_parameters, quantize_t3
    from worker.models.skeleton import TEXT_VOCABULARY, T3Sizes, empty_t3, fill

    t3 = empty_t3(T3Sizes(num_layers, HEAD_SIZE, MLP_SIZE, TEXT_VOCABULARY[model]))
    generator = torch.Generator(device).manual_seed(seed)
    tensors = {}
    for name, value in t3.state_dict().items():
        noise = torch.randn(value.shape, generator=generator, device=device)
        tensors[name] = noise * DEVIATION + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
    fill(t3, tensors, Path("random"))
    t3.tfmr.rotary_emb.to(device)
    if precision == "int8":
        # Weights are rounded on their way from the CPU.
        return quantize_t3(t3.cpu(), device)
    return cast_parameters(t3, {"fp32": "float32", "bf16": "bfloat16"}[precision]).eval()


def random_voice(*, device: str = "cuda", seed: int = 1) -> Any:
    """Return a `T3Cond` as long as a real one."""
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    generator = torch.Generator().manual_seed(seed)
    return T3Cond(
        speaker_emb=torch.randn(1, 256, generator=generator).to(device),
        cond_prompt_speech_tokens=torch.randint(0, 6561, (1, 150), generator=generator).to(device),
        emotion_adv=torch.full((1, 1, 1), 0.5, device=device),
    )


def random_text(num_tokens: int, *, seed: int = 2) -> torch.Tensor:
    """Return text tokens [num_tokens] int64 on the CPU, start and stop token included."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, 250, (num_tokens - 2,), generator=generator)
    return torch.tensor([255, *words.tolist(), 0])
