"""The checkpoint that speaks as long as its text is (`full_checkpoint.py --by-text`), made where it is not yet.

Made in a process of its own, so that who asks for it keeps no model in memory and needs no torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

#: What the small one speaks for a character: enough to find a watermark in, little enough for a CPU.
SMALL_RATE: Final = "0.8"


def checkpoint_by_text(directory: Path, *, is_small: bool) -> Path:
    """Return the folder, after making and locking it if it is not there: 4 GB, or 0.6 GB if it is to be small."""
    if (directory / "conds.pt").exists():
        return directory
    building = directory.with_name(f".{directory.name}.building")
    size = [SMALL_RATE, "--small"] if is_small else []
    make = ["bench/full_checkpoint.py", str(building.resolve()), "--by-text", *size]
    # As weights are that were fetched: checked at each start, and never unpickled.
    lock = ["-m", "producer.cli", "models", "lock", "--model", "english", "--dir", str(building.resolve())]
    for command in (make, lock):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, stdout=sys.stderr, check=True)
    building.rename(directory)
    return directory
