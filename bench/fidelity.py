"""Compares T3 in full precision, bf16 and int8 over the same texts, prints the table and writes it as JSON.

    python bench/fidelity.py DIR [--model english] [--texts FILE] [--made-up N] [--device cuda] [--out FILE.json]

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

from worker.models import compare  # noqa: E402
from worker.models.comparison import Report  # noqa: E402


def main() -> None:
    """Run the comparison that the command line names."""
    parser = compare.parser()
    parser.add_argument("--made-up", type=int, metavar="N", help="N texts of the made-up language, read back")
    parser.add_argument("--weights", default="unnamed", help="what the checkpoint is, for the result file")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    reports = compare.run(options, **(made_up(options.made_up) if options.made_up else {}))
    print(compare.table(reports))
    if options.out:
        options.out.write_text(json.dumps(result(options, reports), indent=1) + "\n", encoding="utf-8")


def made_up(num_texts: int) -> dict[str, Any]:
    """Return texts of the language that `train_small_t3.py` trains, and what reads it back."""
    from made_up_language import Language, random_text
    from train_small_t3 import MAX_CHARACTERS, SEED

    # Not the training's random numbers; some are longer than anything that was trained, where errors begin.
    rng = random.Random(SEED + 1)
    texts = [random_text(rng, rng.randint(MAX_CHARACTERS // 2, MAX_CHARACTERS + 8)) for _ in range(num_texts)]
    return {"texts": texts, "read_back": Language(SEED).read}


def result(options: argparse.Namespace, reports: list[Report]) -> dict[str, Any]:
    """Return the figures with everything that is needed to get them again."""
    import bitsandbytes
    import torch
    import transformers

    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "weights": options.weights,
        "command": " ".join(["python", "bench/fidelity.py", *sys.argv[1:]]),
        "commit": commit.stdout.strip() or os.environ.get("GPU_TEST_COMMIT"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.processor()
        if options.device == "cpu" or not torch.cuda.is_available()
        else torch.cuda.get_device_name(),
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
