"""A small T3 that was trained to be understood says the same text, whatever number of slots speaks beside it.

In float32 that follows from equal tokens. In bf16 and int8 a product of another height rounds otherwise, so what is
compared is how much of the text is wrong. The model and its language are those of `bench/train_small_t3.py`.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).resolve().parent.parent.parent
NUM_TEXTS = 128
NUM_SLOTS = (1, 4, 16, 64, 128)
NUM_CHARACTERS = (8, 40)
MAX_TOKENS = 140
#: Wrong characters of all, beyond those that are wrong one by one: a handful of 3,000.
MAX_DIFFERENCE = 0.003


@pytest.fixture(scope="module")
def trained() -> Path:
    """Return the folder of the trained checkpoint, made once and kept."""
    folder = Path(os.environ.get("GPU_TEST_CHECKPOINTS", tempfile.gettempdir())) / "small"
    if not (folder / "training.json").exists():
        program = [sys.executable, str(ROOT / "bench" / "train_small_t3.py"), str(folder)]
        subprocess.run([*program, "--steps", "700", "--seconds", "60"], check=True)
    return folder


def prompts_of(folder: Path) -> tuple[list[str], list[Any]]:
    """Return texts of the language, and the prompts that ask for them, each with a seed of its own."""
    import torch

    sys.path.insert(0, str(ROOT / "bench"))
    from made_up_language import FULL_STOP, random_text
    from train_small_t3 import SEED, tokenizer_of, voice_of

    from worker.engine.t3.prompt import Prompt
    from worker.models.sampling import Sampling

    rng, tokenizer, voice = random.Random(SEED + 2), tokenizer_of(folder), voice_of(folder, "cuda")
    texts = [random_text(rng, rng.randint(*NUM_CHARACTERS)) for _ in range(NUM_TEXTS)]
    prompts = []
    for seed, text in enumerate(texts):
        ids = tokenizer.encode(f"{text[0].upper()}{text[1:]}{FULL_STOP}")
        framed = torch.tensor([255, *ids, 0])
        prompts.append(Prompt(framed, voice, 0.5, Sampling(), seed=seed, max_tokens=MAX_TOKENS))
    return texts, prompts


def spoken_by(t3: Any, precision: str, num_slots: int, prompts: list[Any]) -> list[list[int]]:
    """Speak prompts, as many at once as there are slots; returns the tokens of each."""
    from worker.engine.t3.decoder import Decoder

    decoder = Decoder(t3, precision=precision, num_slots=num_slots, max_positions=34 + 64 + MAX_TOKENS, device="cuda")
    decoder.warm_up()
    waiting, slot_of, found = list(range(len(prompts))), {}, {}
    while waiting or decoder.num_live:
        fitting: list[int] = []
        while waiting and decoder.can_admit([prompts[number] for number in [*fitting, waiting[0]]]):
            fitting.append(waiting.pop(0))
        if fitting:
            slot_of.update(zip(decoder.admit([prompts[number] for number in fitting]), fitting, strict=True))
        decoder.step(4)
        for spoken in decoder.poll(is_blocking=True):
            found[slot_of[spoken.slot]] = spoken.tokens.tolist()
    return [found[number] for number in range(len(prompts))]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_the_error_rate_of_every_number_of_slots_is_that_of_one(
    precision: str, trained: Path, figures: dict[str, Any]
) -> None:
    sys.path.insert(0, str(ROOT / "bench"))
    from made_up_language import Language
    from train_small_t3 import SEED

    from worker.models.checkpoint import ENGLISH
    from worker.models.checkpointparts import load_t3
    from worker.models.fidelity import error_rate

    language = Language(SEED)
    texts, prompts = prompts_of(trained)
    t3 = load_t3(trained, ENGLISH, "cuda", precision=precision)
    said = {size: spoken_by(t3, precision, size, prompts) for size in NUM_SLOTS}
    num_characters = sum(map(len, texts))
    rates = {
        size: sum(
            error_rate(text, language.read(tokens)) * len(text) for text, tokens in zip(texts, speeches, strict=True)
        )
        / num_characters
        for size, speeches in said.items()
    }
    figures[precision] = {
        "wrong characters, by slots": {size: round(rate, 5) for size, rate in rates.items()},
        "texts with the tokens of one slot": {
            size: sum(ours == alone for ours, alone in zip(speeches, said[1], strict=True))
            for size, speeches in said.items()
        },
        "texts": len(texts),
    }
    assert rates[1] < 0.1, "the model was not trained"
    for size in NUM_SLOTS:
        assert abs(rates[size] - rates[1]) <= MAX_DIFFERENCE, rates
