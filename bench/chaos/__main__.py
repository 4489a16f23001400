"""`python -m bench.chaos --seed 1 [--rows 2,15] [--short] [--baseline celery]`: the fault matrix, printed and recorded.

Exit status 1 if an invariant was violated.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from bench.chaos import matrix
from bench.chaos.lanes import play_in_lanes
from bench.chaos.outcome import failures, table
from bench.chaos.play import play
from bench.chaos.record import Record
from bench.chaos.scene import Scale


def main(argv: Sequence[str] | None = None) -> int:
    """Play the rows that were asked for; return the exit status."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    if arguments.baseline:
        from bench.chaos.baseline import run as run_baseline

        return run_baseline(arguments.seed, arguments.rows, is_short=arguments.short)
    rows = matrix.chosen(arguments.rows)
    print(f"seed {arguments.seed}, rows {' '.join(row.number for row in rows)}", flush=True)
    record = Record(arguments.seed, arguments.rows, len(rows), is_short=arguments.short)
    scale = Scale(is_full=not arguments.short)
    if len(rows) > 1 and not arguments.short:
        outcomes = play_in_lanes(rows, arguments.seed, scale, record.write)
    else:
        outcomes = play(rows, arguments.seed, scale, record.write)
    print("\n".join(table(map(asdict, outcomes))))
    wrong = failures(outcomes)
    print("\n".join([*wrong, f"{len(wrong)} violations", str(record.write(outcomes))]))
    return 1 if wrong else 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seed", default=str(int(time.time())), help="decides everything that is left to chance")
    parser.add_argument("--rows", default="", help="numbers of rows, with commas; all if not given")
    parser.add_argument("--short", action="store_true", help="small numbers")
    parser.add_argument("--baseline", choices=["celery"], help="play stock Celery instead")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
