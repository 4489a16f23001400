"""Compares T3 in full precision, bf16 and int8 over the same texts, prints the table and writes it as JSON.

    python bench/fidelity.py DIR [--model english] [--texts FILE] [--device cuda] [--out FILE.json]

DIR is a checkpoint, the real one or one of `full_checkpoint.py` or `train_small_t3.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402, TID253

from worker.models import ChatterboxMultilingualTTS, ChatterboxTTS  # noqa: E402
from worker.models.comparison import INT8_WITH_OUTLIERS, VARIANTS, Report, compare  # noqa: E402
from worker.models.generation import DEFAULT_MAX_SPEECH_TOKENS  # noqa: E402
from worker.models.sampling import Sampling  # noqa: E402

TEXTS = [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune must want a wife.",
    "Call me Ishmael.",
    "The year 1866 was marked by a bizarre development, an unexplained and downright inexplicable phenomenon.",
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do.",
    "Whether I shall turn out to be the hero of my own life, these pages must show.",
    "In the beginning the night was still, and nobody in the house had gone to bed.",
]


def main() -> None:
    """Run the comparison that the command line names."""
    arguments = parse()
    classes = {"english": ChatterboxTTS, "multilingual": ChatterboxMultilingualTTS}
    model = classes[arguments.model].load(arguments.directory, arguments.device)
    language = None
    texts = arguments.texts.read_text(encoding="utf-8").splitlines() if arguments.texts else TEXTS
    if arguments.made_up:
        from made_up_language import Language, random_text
        from train_small_t3 import MAX_CHARACTERS, SEED

        language = Language(SEED)
        # Not the training's random numbers; some are longer than anything that was trained, where errors begin.
        rng = random.Random(SEED + 1)
        texts = [
            random_text(rng, rng.randint(MAX_CHARACTERS // 2, MAX_CHARACTERS + 8)) for _ in range(arguments.made_up)
        ]
    variants = VARIANTS if arguments.device == "cpu" else (*VARIANTS, INT8_WITH_OUTLIERS)
    reports = compare(
        model,
        arguments.directory,
        texts,
        arguments.device,
        tokenize=lambda text: text_tokens(model, text, arguments.model),
        variants=[variant for variant in variants if arguments.device != "cpu" or variant.precision != "int8"],
        sampling=Sampling() if arguments.model == "english" else Sampling(repetition_penalty=2.0),
        max_tokens=arguments.max_tokens,
        read_back=language.read if language else None,
    )
    print(table(reports))
    if arguments.out:
        arguments.out.write_text(json.dumps(result(arguments, reports), indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare the precisions of T3.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--model", choices=["english", "multilingual"], default="english")
    parser.add_argument("--texts", type=Path, help="one text a line")
    parser.add_argument("--made-up", type=int, metavar="N", help="N texts of the made-up language, read back")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--max-tokens", type=int, default=DEFAULT_MAX_SPEECH_TOKENS)
    parser.add_argument("--weights", default="unnamed", help="what the checkpoint is, for the result file")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def text_tokens(model: Any, text: str, name: str) -> torch.Tensor:
    """Return the tokens that the model reads for a text."""
    from chatterbox.mtl_tts import punc_norm as multilingual_norm
    from chatterbox.tts import punc_norm

    if name == "english":
        tokens = model.tokenizer.text_to_tokens(punc_norm(text))[0]
    else:
        tokens = model.tokenizer.text_to_tokens(multilingual_norm(text), language_id="en")[0]
    return framed(tokens)


def framed(tokens: torch.Tensor) -> torch.Tensor:
    """Put the start and the stop token around text tokens."""
    return torch.cat([torch.tensor([255]), tokens.long(), torch.tensor([0])])


def table(reports: list[Report]) -> str:
    """Return the figures as Markdown: one row a figure, one column a variant."""
    rows = [
        ("logits: KL from fp32, mean (nats)", lambda r: f"{r.kl_nats:.2e}"),
        ("logits: KL from fp32, worst step", lambda r: f"{r.max_kl_nats:.2e}"),
        ("logits: same likeliest token", lambda r: f"{r.top_1:.2%}"),
        ("token error rate, greedy", lambda r: f"{r.greedy_token_error_rate:.2%}"),
        ("token error rate, sampled with the same noise", lambda r: f"{r.sampled_token_error_rate:.2%}"),
        ("text error rate of what is said", lambda r: "-" if r.text_error_rate is None else f"{r.text_error_rate:.2%}"),
        ("ended by itself", lambda r: f"{r.ended:.1%}"),
        ("mel distance (dB)", lambda r: f"{r.mel_distance_db:.2f}"),
        ("speaker similarity", lambda r: f"{r.speaker_similarity:.4f}"),
        ("T3 on the device (MiB)", lambda r: f"{r.t3_mib:.0f}"),
        ("highest while loading T3 (MiB)", lambda r: f"{r.peak_mib:.0f}"),
        ("whole model on the device (MiB)", lambda r: f"{r.total_mib:.0f}"),
        ("loading T3 (s)", lambda r: f"{r.t3_load_s:.2f}"),
        ("host memory while loading T3: private (MiB)", lambda r: f"{r.t3_peak_host_mib:.0f}"),
        ("host memory while loading T3: with mapped files (MiB)", lambda r: f"{r.t3_peak_host_with_files_mib:.0f}"),
        ("tokens a second, one at a time", lambda r: f"{r.tokens_per_s:.1f}"),
    ]
    lines = ["| | " + " | ".join(report.name for report in reports) + " |", "|---|" + "---|" * len(reports)]
    lines += [f"| {name} | " + " | ".join(show(report) for report in reports) + " |" for name, show in rows]
    return "\n".join(lines)


def result(arguments: argparse.Namespace, reports: list[Report]) -> dict[str, Any]:
    """Return the figures with everything that is needed to get them again."""
    import bitsandbytes
    import transformers

    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    is_cuda = arguments.device != "cpu"
    return {
        "weights": arguments.weights,
        "command": " ".join(["python", "bench/fidelity.py", *sys.argv[1:]]),
        "commit": commit.stdout.strip() or os.environ.get("GPU_TEST_COMMIT"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": torch.cuda.get_device_name() if is_cuda else platform.processor(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "bitsandbytes": bitsandbytes.__version__,
        },
        "reports": [report.to_dict() for report in reports],
    }


if __name__ == "__main__":
    main()
