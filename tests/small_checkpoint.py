"""Makes small Chatterbox checkpoints in the real file format: seeded random weights that speak noise and then stop.

Run it as `python tests/small_checkpoint.py DIR --model english|multilingual|both`, or call `cached_checkpoint`.

What is real: file names, tensor names, shapes and containers, so the package's own `from_local` loads them. What is
small: T3 has as few layers as it can, and the voice prompt is short. What is rigged: a random T3 would run into its
ceiling of 1,000 tokens, so three numbers of each embedding are set by hand to make it stop (see `_rig_t3`).
Weights are stored in half precision, which halves the disk space; loading turns them into full precision.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - what this script makes is made of tensors
from safetensors.torch import save_file

ENGLISH, MULTILINGUAL, BOTH = "english", "multilingual", "both"

SEED = 20_261_122
#: Speech tokens after which the model wants to stop, 40 ms each.
NUM_SPEECH_TOKENS = 12
#: Speech tokens of the built-in voice's prompt; the flow works on prompt and speech together.
NUM_PROMPT_TOKENS = 5
#: The multilingual model's end-of-speech check looks into layers 9, 12 and 13.
NUM_LAYERS = {ENGLISH: 1, MULTILINGUAL: 14}
ANALYSED_HEADS = ((12, 15), (13, 11), (9, 2))
HEAD_SIZE = 64

#: Numbers of each embedding that carry a signal instead of noise, and how loud it is beside the noise of 1.
STOP_NUMBER, SPEECH_NUMBER, END_OF_TEXT_NUMBER = 0, 1, 2
LOUD = 30.0

LANGUAGES = [
    "ar",
    "da",
    "de",
    "el",
    "en",
    "es",
    "fi",
    "fr",
    "he",
    "hi",
    "it",
    "ja",
    "ko",
    "ms",
    "nl",
    "no",
    "pl",
    "pt",
    "ru",
    "sv",
    "sw",
    "tr",
    "zh",
]


def make_checkpoint(directory: Path, model: str = BOTH) -> None:
    """Write the files of one or both models into a folder."""
    directory.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _write_shared(directory, model)
        if model in {ENGLISH, BOTH}:
            _write_t3(directory / "t3_cfg.safetensors", ENGLISH)
            _write_tokenizer(directory / "tokenizer.json", [], unk_id=1)
        if model in {MULTILINGUAL, BOTH}:
            _write_t3(directory / "t3_mtl23ls_v2.safetensors", MULTILINGUAL)
            languages = [f"[{language}]" for language in LANGUAGES]
            _write_tokenizer(directory / "grapheme_mtl_merged_expanded_v1.json", languages, unk_id=1)
            (directory / "Cangjie5_TC.json").write_text(json.dumps(["你\tonf", "好\tvnd"]), encoding="utf-8")


def cached_checkpoint(model: str = BOTH) -> Path:
    """Return a folder with a checkpoint, made at most once per version of this script; read-only for tests.

    It lies in the checkout's own `.chatterqueue/` (or in CHATTERQUEUE_TEST_CACHE), about 1.7 GB for both models.
    """
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    default_root = Path(__file__).resolve().parent.parent / ".chatterqueue" / "test-cache"
    root = Path(os.environ.get("CHATTERQUEUE_TEST_CACHE") or default_root)
    directory = root / f"checkpoint-{model}-{version}"
    if not directory.exists():
        root.mkdir(parents=True, exist_ok=True)
        for outdated in root.glob(f"checkpoint-{model}-*"):
            shutil.rmtree(outdated, ignore_errors=True)
        building = Path(tempfile.mkdtemp(dir=root, prefix="building-"))
        make_checkpoint(building, model)
        try:
            building.rename(directory)
        except OSError:  # another process was faster
            shutil.rmtree(building, ignore_errors=True)
    return directory


def _write_shared(directory: Path, model: str) -> None:
    """Write what both models have, each in its own container: voice encoder, S3Gen and the built-in voice."""
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.voice_encoder import VoiceEncoder

    torch.manual_seed(SEED)
    parts = {"ve": VoiceEncoder().state_dict(), "s3gen": S3Gen().state_dict()}
    for name, state in parts.items():
        tensors = _halved(state) if name == "s3gen" else {key: value.contiguous() for key, value in state.items()}
        if model in {ENGLISH, BOTH}:
            save_file(tensors, directory / f"{name}.safetensors")
        if model in {MULTILINGUAL, BOTH}:
            torch.save(tensors, directory / f"{name}.pt")
    torch.save(_conditionals(), directory / "conds.pt")


def _conditionals() -> dict[str, Any]:
    speaker = torch.randn(1, 256).abs()
    return {
        "t3": {
            "speaker_emb": speaker / speaker.norm(),
            "clap_emb": None,
            "cond_prompt_speech_tokens": torch.randint(0, 6561, (1, 150)),
            "cond_prompt_speech_emb": None,
            "emotion_adv": 0.5 * torch.ones(1, 1, 1),
        },
        "gen": {
            "prompt_token": torch.randint(0, 6561, (1, NUM_PROMPT_TOKENS)),
            "prompt_token_len": torch.tensor([NUM_PROMPT_TOKENS]),
            "prompt_feat": torch.randn(1, 2 * NUM_PROMPT_TOKENS, 80) - 5,
            "prompt_feat_len": None,
            "embedding": torch.randn(1, 192),
        },
    }


def _write_t3(path: Path, model: str) -> None:
    from chatterbox.models.t3 import T3
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
    from chatterbox.models.t3.modules.t3_config import T3Config

    torch.manual_seed(SEED + 1)
    table = LLAMA_CONFIGS["Llama_520M"]
    real_depth = table["num_hidden_layers"]
    table["num_hidden_layers"] = NUM_LAYERS[model]
    try:
        t3 = T3(T3Config.english_only() if model == ENGLISH else T3Config.multilingual())
    finally:
        table["num_hidden_layers"] = real_depth
    with torch.no_grad():
        _rig_t3(t3, model)
    save_file(_halved(t3.state_dict()), path)


def _rig_t3(t3: Any, model: str) -> None:
    """Make a random T3 stop after `NUM_SPEECH_TOKENS`, and no sooner.

    The position embedding says loudly whether the time has come, and the stop token's row of the head listens to it.
    A bias on the token would not do: the sampler's min_p drops whatever is far less likely than the likeliest token.
    The multilingual model also holds the stop token back until three attention heads look at the end of the text, so
    there these heads are made to look from any speech token at the end-of-text token.
    """
    positions = t3.speech_pos_emb.emb.weight
    positions[:, STOP_NUMBER] = LOUD
    positions[:NUM_SPEECH_TOKENS, STOP_NUMBER] = -LOUD
    t3.speech_emb.weight[:, [STOP_NUMBER, END_OF_TEXT_NUMBER]] = 0.0
    t3.speech_emb.weight[:, SPEECH_NUMBER] = LOUD
    t3.speech_head.weight[:, STOP_NUMBER] = 0.0
    t3.speech_head.weight[t3.hp.stop_speech_token] = 0.0
    t3.speech_head.weight[t3.hp.stop_speech_token, STOP_NUMBER] = 4.0
    t3.text_emb.weight[:, [STOP_NUMBER, SPEECH_NUMBER, END_OF_TEXT_NUMBER]] = 0.0
    t3.text_emb.weight[t3.hp.stop_text_token, END_OF_TEXT_NUMBER] = LOUD
    # A random attention layer hardly changes the sum it adds to: the first one is made to, or no text would matter,
    # and no exaggeration.
    t3.tfmr.layers[0].self_attn.o_proj.weight *= 60
    t3.cond_enc.emotion_adv_fc.weight *= 30
    for layer in t3.tfmr.layers:
        layer.self_attn.o_proj.weight[: END_OF_TEXT_NUMBER + 1] = 0.0
        layer.mlp.down_proj.weight[: END_OF_TEXT_NUMBER + 1] = 0.0
    if model == MULTILINGUAL:
        # The last of a head's 32 pairs of numbers turns slowest with position: over a segment, hardly at all.
        slowest = HEAD_SIZE // 2 - 1
        for layer, head in ANALYSED_HEADS:
            attention = t3.tfmr.layers[layer].self_attn
            attention.q_proj.weight[head * HEAD_SIZE + slowest, SPEECH_NUMBER] = 0.8
            attention.k_proj.weight[head * HEAD_SIZE + slowest, END_OF_TEXT_NUMBER] = 0.8


def _write_tokenizer(path: Path, languages: list[str], *, unk_id: int) -> None:
    """Write a tokenizer of single characters; the special tokens have the numbers that T3's configuration names."""
    letters = [chr(code) for code in [*range(0x21, 0x7F), *range(0xA1, 0x17F), 0x300, 0x301, 0x308, 0x327]]
    tokens = {"[STOP]": 0, "[UNK]": unk_id, "[SPACE]": 2, "[PAD]": 3, "[START]": 255}
    free = iter(number for number in range(4, 2454) if number != 255)
    for token in [*languages, *letters]:
        tokens[token] = next(free)
    special = [token for token in tokens if token.startswith("[") and len(token) > 1]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [{"id": tokens[token], "content": token, **flags} for token in special],
                "pre_tokenizer": None,
                "model": {"type": "BPE", "unk_token": "[UNK]", "vocab": tokens, "merges": []},
            }
        ),
        encoding="utf-8",
    )


def _halved(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: (tensor.half() if tensor.is_floating_point() else tensor).clone().contiguous()
        for name, tensor in state.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a small Chatterbox checkpoint with random weights.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", choices=[ENGLISH, MULTILINGUAL, BOTH], default=BOTH)
    arguments = parser.parse_args()
    make_checkpoint(arguments.directory, arguments.model)


if __name__ == "__main__":
    main()
