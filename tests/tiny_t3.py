"""A T3 of the real classes that a CPU runs in milliseconds: few layers, small heads, seeded random weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # The packages warn of their own dependencies when they are first imported.
    warnings.simplefilter("ignore")
    import bitsandbytes  # noqa: F401
    import chatterbox  # noqa: F401
    import torch

_stock_int_mm = torch._int_mm

NUM_LAYERS = {"english": 2, "multilingual": 14}
HEAD_SIZE, MLP_SIZE = 8, 64


def tiny_t3(model: str = "english", *, seed: int = 0) -> Any:
    import torch

    from worker.models.skeleton import TEXT_VOCABULARY, T3Sizes, empty_t3, fill

    t3 = empty_t3(T3Sizes(NUM_LAYERS[model], HEAD_SIZE, MLP_SIZE, TEXT_VOCABULARY[model]))
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(value.shape, generator=generator) * (0.05 if value.dim() > 1 else 0.1) + ("norm.w" in name)
        for name, value in t3.state_dict().items()
    }
    fill(t3, tensors, Path("tiny"))
    return t3.eval()


def ending_multilingual_t3() -> Any:
    """Return a tiny multilingual T3 that ends its speech after some 30 tokens, each of which has a sound.

    Rigged as the small checkpoints are; the attention that the analysis looks at has to be louder in small heads.
    """
    import small_checkpoint as rig
    import torch

    t3 = tiny_t3("multilingual")
    head_size, rig.HEAD_SIZE = rig.HEAD_SIZE, HEAD_SIZE
    try:
        with torch.no_grad():
            rig._rig_t3(t3, "multilingual")
            for layer, head in rig.ANALYSED_HEADS:
                attention, last_pair = t3.tfmr.layers[layer].self_attn, head * HEAD_SIZE + HEAD_SIZE // 2 - 1
                attention.q_proj.weight[last_pair, rig.SPEECH_NUMBER] = 4
                attention.k_proj.weight[last_pair, rig.END_OF_TEXT_NUMBER] = 4
            # The stock class hands tokens from 6,563 on to S3Gen, which has no row for them.
            t3.speech_head.weight[6563:, rig.SPEECH_NUMBER] = -4
            t3.speech_head.weight[6561, rig.SPEECH_NUMBER] = -4
    finally:
        rig.HEAD_SIZE = head_size
    return t3


def tiny_voice(*, seed: int = 1) -> Any:
    import torch
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    generator = torch.Generator().manual_seed(seed)
    return T3Cond(
        speaker_emb=torch.randn(1, 256, generator=generator),
        cond_prompt_speech_tokens=torch.randint(0, 6561, (1, 20), generator=generator),
        emotion_adv=0.5 * torch.ones(1, 1, 1),
    )


def text_ids(length: int = 12, *, first: int = 20) -> Any:
    """Return text tokens [length + 2] between the start and the stop token."""
    import torch

    return torch.tensor([255, *(first + 7 * number % 200 for number in range(length)), 0])


def exact_int_mm(a: Any, b: Any) -> Any:
    """Multiply int8 matrices exactly.

    `torch._int_mm` of torch 2.11 gives other values at each call, on CPUs with VNNI, where the inner dimension is 1,
    as it is in the layer for the emotion. bitsandbytes uses it on CPUs; on CUDA it takes another way there.
    """
    import torch

    return (a.double() @ b.double()).to(torch.int32) if a.shape[1] == 1 else _stock_int_mm(a, b)
