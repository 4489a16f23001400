"""What the kernels of a decode step take on a GPU: `python -m bench.kernels [--tune] [--only NAME ...]`.

Prints as it goes: microseconds, TB/s and TFLOP/s of each operation beside cuBLAS, bitsandbytes and torch's attention
in the same run, and a whole step. `--tune` searches the tiles of the int8 product and prints the table of
`worker.engine.kernels.fused.tiles` anew; and it searches the plans of attention, to a cache of eight bits too, and
prints the fastest of each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # noqa: TID253

from bench.kernels.contexts import bench_attention
from bench.kernels.products import bench_products
from bench.kernels.search import NUM_ROWS, compile_all
from bench.kernels.steps import bench_small, bench_step
from bench.kernels.timing import say


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--only", nargs="*", help="step, small, attention, products; all of them if not given")
    parser.add_argument("--rows", nargs="*", type=int, default=NUM_ROWS, help="heights of the products")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    results: dict[str, Any] = {"machine": torch.cuda.get_device_name(), "torch": torch.__version__}
    sections: dict[str, Callable[[dict[str, Any]], None]] = {
        "step": bench_step,
        "small": bench_small,
        "attention": lambda found: bench_attention(found, tune=arguments.tune),
        "products": lambda found: bench_products(found, arguments.rows, tune=arguments.tune),
    }
    if arguments.only:
        sections = {name: sections[name] for name in arguments.only}
    if arguments.tune:
        named = {f"has_{name}": name in sections for name in ("products", "attention")}
        sections = {"compilation": lambda found: compile_all(arguments.rows, **named), **sections}
    for name, section in sections.items():
        begun = time.perf_counter()
        found = results.setdefault(name, {})
        try:
            section(found)
        except Exception:  # noqa: BLE001 - one failure must not lose the rest
            traceback.print_exc(file=sys.stdout)
        say(f"{name}: {time.perf_counter() - begun:.1f} s")
        if arguments.results:
            arguments.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
