"""Made-up weights in the real file formats and names: a few numbers where the real ones are gigabytes."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - the test compares with torch
from safetensors.torch import save

ENGLISH_FILES = ("t3_cfg.safetensors", "s3gen.safetensors", "ve.safetensors", "conds.pt", "tokenizer.json")
MULTILINGUAL_FILES = (
    "t3_mtl23ls_v2.safetensors",
    "s3gen.pt",
    "ve.pt",
    "conds.pt",
    "grapheme_mtl_merged_expanded_v1.json",
    "Cangjie5_TC.json",
)


def small_state(seed: int) -> dict[str, torch.Tensor]:
    """Return a state dict as the real ones are: an OrderedDict with `_metadata`, some dtypes, a counter."""
    generator = torch.Generator().manual_seed(seed)
    state = OrderedDict(
        {
            "layer.weight": torch.randn(48, 64, generator=generator),
            "layer.bias": torch.randn(48, generator=generator).half(),
            "norm.num_batches_tracked": torch.tensor(7 + seed),
        }
    )
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    return state


def small_voice() -> dict[str, dict[str, Any]]:
    """Return what `Conditionals.save` writes."""
    generator = torch.Generator().manual_seed(5)
    return {
        "t3": {
            "speaker_emb": torch.randn(1, 256, generator=generator),
            "clap_emb": None,
            "cond_prompt_speech_tokens": torch.randint(0, 6561, (1, 150), generator=generator),
            "cond_prompt_speech_emb": None,
            "emotion_adv": 0.5 * torch.ones(1, 1, 1),
        },
        "gen": {
            "prompt_token": torch.randint(0, 6561, (1, 10), generator=generator),
            "prompt_token_len": torch.tensor([10]),
            "prompt_feat": torch.randn(1, 20, 80, generator=generator),
            "prompt_feat_len": None,
            "embedding": torch.randn(1, 192, generator=generator),
        },
    }


def torch_bytes(content: object, **options: Any) -> bytes:
    """Return what `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def small_weights(seed: int = 0) -> dict[str, bytes]:
    """Return the files of both models, as name -> content."""
    files = {
        name: save(dict(small_state(seed + number)))
        for number, name in enumerate(("t3_cfg.safetensors", "t3_mtl23ls_v2.safetensors"))
    }
    files |= {f"{name}.safetensors": save(dict(small_state(seed + 10 + len(name)))) for name in ("ve", "s3gen")}
    files |= {f"{name}.pt": torch_bytes(small_state(seed + 20 + len(name))) for name in ("ve", "s3gen")}
    files["conds.pt"] = torch_bytes(small_voice())
    files["tokenizer.json"] = json.dumps({"seed": seed, "model": {"type": "BPE"}}).encode()
    files["grapheme_mtl_merged_expanded_v1.json"] = json.dumps({"seed": seed, "languages": 23}).encode()
    files["Cangjie5_TC.json"] = json.dumps(["一\tm", "丁\tmn"]).encode()
    return files


def write_weights(model_dir: Path, names: tuple[str, ...] = (*ENGLISH_FILES, *MULTILINGUAL_FILES)) -> Path:
    """Put some of the files into a folder."""
    model_dir.mkdir(parents=True, exist_ok=True)
    files = small_weights()
    for name in names:
        (model_dir / name).write_bytes(files[name])
    return model_dir
