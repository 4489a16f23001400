"""How long an engine process takes from nothing to ready: `python -m bench.start [CHECKPOINT]`.

As a worker starts one: a process of its own that imports, checks every byte against the lock, loads, captures graphs
and speaks once. The first start of a machine fills the caches, of which the others profit: kernels, T3 in int8, and
what the system keeps of files. `--cpu` tries all of it with small weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.bytext import checkpoint_by_text
from bench.record import write_result
from worker.engine.chatterboxmaker import ChatterboxMaker
from worker.engine.remote.engineprocess import EngineProcess
from worker.settings import WorkerSettings

STARTS: Final = 4


def main() -> None:
    """Start, time, print and record."""
    options = _options()
    checkpoint = checkpoint_by_text(options.checkpoint, is_small=options.cpu)
    settings = WorkerSettings.load(
        model_dir=checkpoint, device="cpu" if options.cpu else "cuda", num_threads=2, cache_dir=options.cache
    )
    starts = []
    for _ in range(options.starts):
        starts.append(start(settings))
        print(json.dumps(starts[-1]), flush=True)
    result = {
        "command": "python -m bench.start " + " ".join(sys.argv[1:]),
        "settings": {"weights": "random, small" if options.cpu else "random, full size", "verification": "full"},
        "starts": starts,
        "ready_s_after_the_first": [each["ready_s"] for each in starts[1:]],
    }
    print(write_result(options.name, result))


def start(settings: WorkerSettings) -> dict[str, Any]:
    """Start an engine process and end it; return the seconds of each part, and of all."""
    engine = EngineProcess(ChatterboxMaker.of(settings))
    begun_s = time.perf_counter()
    num_slots = engine.num_slots  # starts the process, which imports torch and looks at the device
    made_s = time.perf_counter()
    engine.load()
    loaded_s = time.perf_counter()
    engine.warm_up()
    ready_s = time.perf_counter()
    engine.close(30.0)
    return {
        "num_slots": num_slots,
        "import_torch_s": round(made_s - begun_s, 2),
        "load_s": round(loaded_s - made_s, 2),
        "warm_up_s": round(ready_s - loaded_s, 2),
        "ready_s": round(ready_s - begun_s, 2),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From nothing to ready.")
    parser.add_argument("checkpoint", type=Path, nargs="?", help="of full_checkpoint.py --by-text; made if missing")
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "chatterqueue-bench")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--name", default="start")
    options = parser.parse_args()
    kind = "small" if options.cpu else "full"
    options.checkpoint = options.checkpoint or Path(tempfile.gettempdir()) / f"chatterqueue-by-text-{kind}"
    return options


if __name__ == "__main__":
    main()
