"""Which GPUs there are, found without torch in this process: only an engine process opens a CUDA context.

Knows nothing of what runs on them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: Seconds for `nvidia-smi`; a driver in trouble lets it hang.
_SMI_TIMEOUT_S: Final = 20.0


def visible_gpus(environment: Mapping[str, str], device_dir: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none on a CPU machine."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # `-1` and whatever comes after it hide devices.
        return [gpu for gpu in chosen.split("-1")[0].split(",") if gpu]
    num_gpus = _count_with_smi()
    if num_gpus is None:
        num_gpus = sum(1 for path in device_dir.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    return [str(number) for number in range(num_gpus)]


def does_torch_find_cuda() -> bool:
    """Ask the installed torch whether it can use a GPU, in a process that ends with the answer; takes seconds."""
    question = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question], stdin=subprocess.DEVNULL, check=False).returncode == 0


def _count_with_smi() -> int | None:
    """Return how many GPUs `nvidia-smi -L` lists; None if it is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
