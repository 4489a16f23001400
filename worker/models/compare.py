"""`python -m worker.models.compare DIR`: the precisions of T3 side by side, as a table. What `models compare` starts.

Parses, calls, prints, returns the exit code. Knows nothing of how the figures come about.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import ChatterqueueError
from producer.contract.exitcode import ExitCode
from worker.models.comparison import INT8_WITH_OUTLIERS, VARIANTS, Report, compare
from worker.models.generation import DEFAULT_MAX_SPEECH_TOKENS

if TYPE_CHECKING:
    import torch

#: What is spoken if no texts are given; out of copyright.
TEXTS: Final = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune must want a wife.",
    "Call me Ishmael.",
    "The year 1866 was marked by a bizarre development, an unexplained and downright inexplicable phenomenon.",
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do.",
    "Whether I shall turn out to be the hero of my own life, these pages must show.",
    "In the beginning the night was still, and nobody in the house had gone to bed.",
)

_ROWS: Final[tuple[tuple[str, Callable[[Report], str]], ...]] = (
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
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        reports = run(options)
    except ChatterqueueError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    text = json.dumps([report.to_dict() for report in reports], indent=2) if options.json else table(reports)
    sys.stdout.write(f"{text}\n")
    return ExitCode.OK


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; benchmarks add to it."""
    found = argparse.ArgumentParser(prog="chatterqueue models compare", description="Compare the precisions of T3.")
    found.add_argument("directory", type=Path, help="folder of the weights")
    found.add_argument("--model", choices=["english", "multilingual"], default="english")
    found.add_argument("--language", default="en", help="of the texts, for the multilingual model")
    found.add_argument("--texts", type=Path, help="a file with one text a line (default: six sentences)")
    found.add_argument(
        "--device", choices=["auto", "cuda", "cpu"], default="auto", help="auto is cuda if there is one; no int8 on cpu"
    )
    found.add_argument("--max-tokens", type=int, default=DEFAULT_MAX_SPEECH_TOKENS, help="where an answer is given up")
    found.add_argument("--json", action="store_true", help="print the figures as JSON")
    return found


def run(
    options: argparse.Namespace,
    *,
    texts: Sequence[str] | None = None,
    read_back: Callable[[list[int]], str] | None = None,
) -> list[Report]:
    """Compare as the command line says.

    Args:
        options: of `parser`.
        texts: instead of those of the options.
        read_back: see `compare`.

    Raises:
        ModelLoadError: the checkpoint cannot be loaded, or int8 does not run here.
    """
    from worker import models
    from worker.models.device import choose_device

    device = choose_device(options.device)
    is_english = options.model == "english"
    loaded = models.ChatterboxTTS if is_english else models.ChatterboxMultilingualTTS
    model = loaded.load(options.directory, device)
    if texts is None:
        texts = options.texts.read_text(encoding="utf-8").splitlines() if options.texts else TEXTS
    language = None if is_english else options.language
    variants = [*VARIANTS, INT8_WITH_OUTLIERS]
    if device == "cpu":
        sys.stderr.write("int8 is left out: it needs an NVIDIA GPU, and this runs on the CPU\n")
        variants = [variant for variant in variants if variant.precision != "int8"]
    return compare(
        model,
        options.directory,
        texts,
        device,
        tokenize=lambda text: _text_tokens(model, text, language),
        variants=variants,
        sampling=model.default_sampling,
        max_tokens=options.max_tokens,
        read_back=read_back,
    )


def table(reports: Sequence[Report]) -> str:
    """Return the figures as Markdown: a row for each figure, a column for each variant."""
    lines = ["| | " + " | ".join(report.name for report in reports) + " |", "|---|" + "---|" * len(reports)]
    lines += [f"| {name} | " + " | ".join(show(report) for report in reports) + " |" for name, show in _ROWS]
    return "\n".join(lines)


def _text_tokens(model: Any, text: str, language: str | None) -> torch.Tensor:
    """Return the tokens [T] that the model reads for a text, start and stop token included."""
    import torch
    from chatterbox.models.t3.modules.t3_config import T3Config

    frame = T3Config()
    tokens = model.tokens_of(text, language).tolist()
    return torch.tensor([frame.start_text_token, *tokens, frame.stop_text_token])


if __name__ == "__main__":
    sys.exit(main())
