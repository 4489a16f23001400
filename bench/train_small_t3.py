"""Trains a small T3 on a made-up language and writes it as a checkpoint that `from_local` loads.

    python bench/train_small_t3.py DIR --device cuda --steps 800

The classes are those of chatterbox-tts, the layout of the sequence is that of its generation loop, and everything
follows from the seed. S3Gen and the voice encoder are random: what is learned is text to speech tokens, with an end.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: N812, TID253
from made_up_language import FULL_STOP, TOKENS_PER_CHARACTER, Language, random_text
from safetensors.torch import save_file

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests"), str(Path(__file__).resolve().parent.parent)]

import small_checkpoint  # noqa: E402

from worker.models.generation import prefix  # noqa: E402
from worker.models.skeleton import T3Sizes, empty_t3  # noqa: E402

SEED = 20_261_122
NUM_LAYERS = 6
MIN_CHARACTERS, MAX_CHARACTERS = 6, 48
#: Rows whose text is hidden, so that guidance has something to pull away from.
HIDDEN_TEXT_SHARE = 0.1


def main() -> None:
    """Train, print the loss, write the checkpoint."""
    parser = argparse.ArgumentParser(description="Train a small T3 on a made-up language.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=240.0, help="stop earlier when this is over")
    arguments = parser.parse_args()
    directory = arguments.directory
    directory.mkdir(parents=True, exist_ok=True)
    small_checkpoint.NUM_LAYERS["english"] = 1
    small_checkpoint.make_checkpoint(directory, "english")
    t3 = new_t3(arguments.device)
    voice = voice_of(directory, arguments.device)
    history = train(t3, voice, tokenizer_of(directory), arguments)
    state = {name: tensor.float().cpu().contiguous() for name, tensor in t3.state_dict().items()}
    save_file(state, directory / "t3_cfg.safetensors")
    (directory / "training.json").write_text(json.dumps({"seed": SEED, "layers": NUM_LAYERS, "history": history}))


def new_t3(device: str) -> torch.nn.Module:
    """Return an untrained T3 whose positions of text and speech already lie on one line."""
    torch.manual_seed(SEED)
    t3 = empty_t3(T3Sizes(NUM_LAYERS, 64, 4096, 704))
    inv_freq = t3.tfmr.rotary_emb
    t3.to_empty(device=device)
    t3.tfmr.rotary_emb = inv_freq.__class__(config=t3.cfg).to(device)
    with torch.no_grad():
        for name, parameter in t3.named_parameters():
            if parameter.dim() < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.normal_(std=0.02)
        t3.cond_enc.perceiver.pre_attention_query.normal_(std=0.5)
        t3.text_emb.weight.normal_(std=0.3)
        t3.speech_emb.weight.normal_(std=0.3)
        # Token t says character t // 2, whose place in the text is one further on, behind the start token.
        speech = torch.arange(t3.speech_pos_emb.emb.num_embeddings, dtype=torch.float32)
        text = (torch.arange(t3.text_pos_emb.emb.num_embeddings, dtype=torch.float32) - 1) * TOKENS_PER_CHARACTER + 0.5
        t3.speech_pos_emb.emb.weight.copy_(waves(speech, t3.dim))
        t3.text_pos_emb.emb.weight.copy_(waves(text, t3.dim))
    return t3.eval()  # no dropout; the conditioning has some


def waves(positions: torch.Tensor, num_channels: int) -> torch.Tensor:
    """Return sines and cosines of positions [T, C], from fast to slow."""
    periods = torch.logspace(math.log10(3.0), math.log10(400.0), num_channels // 2)
    phases = positions[:, None] * (2 * math.pi / periods)[None]
    return 0.3 * torch.cat([phases.sin(), phases.cos()], dim=1)


def voice_of(directory: Path, device: str) -> object:
    """Return the checkpoint's voice as a `T3Cond`."""
    from chatterbox.models.t3.modules.cond_enc import T3Cond

    stored = torch.load(directory / "conds.pt", weights_only=True)["t3"]
    return T3Cond(**stored).to(device=device)


def tokenizer_of(directory: Path) -> object:
    """Return the checkpoint's tokenizer."""
    from chatterbox.models.tokenizers import EnTokenizer

    return EnTokenizer(str(directory / "tokenizer.json"))


def train(
    t3: torch.nn.Module, voice: object, tokenizer: object, arguments: argparse.Namespace
) -> list[dict[str, float]]:
    """Train in place; return the loss every 100 steps."""
    language, rng = Language(SEED), random.Random(SEED)
    optimizer = torch.optim.AdamW(t3.parameters(), lr=4e-4, betas=(0.9, 0.98), weight_decay=0.01)
    history: list[dict[str, float]] = []
    started_s = time.perf_counter()
    for step in range(arguments.steps):
        elapsed_s = time.perf_counter() - started_s
        progress = max(step / arguments.steps, elapsed_s / arguments.seconds)
        if progress >= 1:
            break
        rate = min(1.0, (step + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = 4e-4 * rate
        loss = loss_of(t3, voice, *batch(language, tokenizer, rng, arguments.rows, arguments.device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(t3.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            history.append({"step": step, "loss": loss.item(), "seconds": elapsed_s})
            print(f"step {step}: loss {loss.item():.4f}, {elapsed_s:.0f} s", flush=True)
    history.append({"step": step, "loss": loss.item(), "seconds": time.perf_counter() - started_s})
    print(f"best possible loss {best_loss():.4f}; last {history[-1]}")
    return history


def best_loss() -> float:
    """Return the loss of a model that knows the language: the choice among variants is left, the end is sure."""
    from made_up_language import VARIANT_WEIGHTS

    mean_tokens = TOKENS_PER_CHARACTER * ((MIN_CHARACTERS + MAX_CHARACTERS) / 2 + 1)
    entropy = -sum(weight * math.log(weight) for weight in VARIANT_WEIGHTS)
    return entropy * mean_tokens / (mean_tokens + 1)


def batch(
    language: Language, tokenizer: object, rng: random.Random, num_rows: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return text tokens [B, T] with start and stop, and speech tokens [B, N]; all rows are of one length."""
    length = rng.randint(MIN_CHARACTERS, MAX_CHARACTERS)
    texts = [random_text(rng, length) for _ in range(num_rows)]
    # As the package changes a text: a capital first, and a full stop at the end.
    text = [tokenizer.encode(f"{line[0].upper()}{line[1:]}{FULL_STOP}") for line in texts]
    speech = [language.say(line + FULL_STOP, rng) for line in texts]
    framed = F.pad(F.pad(torch.tensor(text), (1, 0), value=255), (0, 1), value=0)
    return framed.to(device), torch.tensor(speech, device=device)


def loss_of(t3: torch.nn.Module, voice: object, text: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the speech tokens and the end."""
    hp, num_rows = t3.hp, len(text)
    with torch.autocast(text.device.type, torch.bfloat16):
        one_row, num_voice = prefix(t3, voice, text[0], 0.0)
        hidden = (torch.rand(num_rows, device=text.device) < HIDDEN_TEXT_SHARE)[:, None, None]
        text_embeds = t3.text_emb(text).masked_fill(hidden, 0.0) + t3.text_pos_emb(text)
        start = one_row[:, -1:].expand(num_rows, -1, -1)
        positions = t3.speech_pos_emb.emb.weight[1 : speech.shape[1] + 1]
        spoken = t3.speech_emb(speech) + positions
        voice_embeds = one_row[:, :num_voice].expand(num_rows, -1, -1)
        inputs = torch.cat([voice_embeds, text_embeds, start, start, spoken], dim=1)
        states = t3.tfmr(inputs_embeds=inputs, use_cache=False).last_hidden_state[:, -speech.shape[1] - 1 :]
        logits = t3.speech_head(states).float()
    targets = F.pad(speech, (0, 1), value=hp.stop_speech_token)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


if __name__ == "__main__":
    main()
